from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from neurossm.errors import InputError
from neurossm.models import InputSpec
from neurossm.train.augment import Augmentation, augmented, cropped, distort
from neurossm.train.tasks import Samples, Task


def dot(batch: int, row: int, column: int, side: int = 11) -> Tensor:
    images = torch.zeros(batch, side, side, dtype=torch.uint8)
    images[:, row, column] = 255
    return images.view(batch, side * side, 1)


def centres(x: Tensor, side: int = 11) -> Tensor:
    """Centre of mass (B, 2): row and column, counted from the middle of the image."""
    images = x.view(-1, side, side).double()
    grid = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    mass = images.sum((1, 2))
    rows = (images.sum(2) * grid).sum(1) / mass
    columns = (images.sum(1) * grid).sum(1) / mass
    return torch.stack([rows, columns], dim=1)


def test_no_distortion_changes_nothing() -> None:
    x = torch.randint(0, 256, (3, 121, 1), dtype=torch.uint8)
    assert torch.equal(distort(x, 11, Augmentation()), x)


def test_shift_stays_within_its_bound_and_uses_it() -> None:
    torch.manual_seed(0)
    moved = centres(distort(dot(400, 5, 5), 11, Augmentation(shift_pixels=2)))
    assert float(moved.abs().max()) <= 2.05  # bytes are rounded
    assert float(moved.max(0).values.min()) > 1.8
    assert float(moved.min(0).values.max()) < -1.8


def test_rotation_keeps_the_distance_from_the_middle() -> None:
    torch.manual_seed(0)
    moved = centres(
        distort(dot(400, 5, 9), 11, Augmentation(rotation_degrees=30))
    )  # 4 to the right
    radius = moved.square().sum(1).sqrt()
    assert float((radius - 4).abs().max()) < 0.35
    angles = torch.atan2(moved[:, 0], moved[:, 1]) * 180 / math.pi
    assert 25 < float(angles.max()) < 32
    assert -32 < float(angles.min()) < -25


def test_each_image_is_distorted_differently() -> None:
    torch.manual_seed(0)
    moved = distort(dot(2, 5, 5), 11, Augmentation(shift_pixels=2, scale=0.1, shear_degrees=5))
    assert moved.dtype == torch.uint8
    assert not torch.equal(moved[0], moved[1])


def tokens(lengths: list[int] | None = None) -> Samples:
    x = torch.arange(1, 41, dtype=torch.uint8).view(1, 40).repeat(200, 1)
    steps = None if lengths is None else torch.tensor(lengths)
    return Samples(x, torch.zeros(200, dtype=torch.int64), steps)


def task_of(samples: Samples, side: int | None = None) -> Task:
    spec = InputSpec.tokens(41) if side is None else InputSpec.uint8(1)
    return Task("some", spec, 2, samples, samples, samples, side)


def test_mirrored_images_are_whole() -> None:
    x = torch.randint(0, 256, (200, 121, 1), dtype=torch.uint8)
    found = distort(x, 11, Augmentation(mirror=0.5)).view(200, 11, 11)
    images = x.view(200, 11, 11)
    same = (found == images).all(2).all(1)
    turned = (found == images.flip(2)).all(2).all(1)
    assert bool((same ^ turned).all())
    assert 70 < int(turned.sum()) < 130
    assert torch.equal(distort(x, 11, Augmentation(mirror=1.0)).view(200, 11, 11), images.flip(2))


def test_dropped_tokens() -> None:
    samples = tokens()
    found = augmented(samples, task_of(samples), Augmentation(token_dropout=0.25)).x
    dropped = found == 0
    assert torch.equal(found[~dropped], samples.x[~dropped])
    assert float(dropped.double().mean()) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("lengths", [None, [20] * 200])
def test_crops_are_stretches(lengths: list[int] | None) -> None:
    samples = tokens(lengths)
    found = cropped(samples, 0.5)
    steps = 40 if lengths is None else 20
    assert found.lengths is not None
    assert found.lengths.min() >= steps // 2
    assert found.lengths.max() <= steps
    assert len(found.lengths.unique()) > 6
    firsts = set()
    for row, length in zip(found.x.tolist(), found.lengths.tolist(), strict=True):
        firsts.add(row[0])
        assert row[:length] == list(range(row[0], row[0] + length))
        assert row[length - 1] <= steps
    assert min(firsts) == 1
    assert len(firsts) > 6


def test_what_cannot_be_changed() -> None:
    with pytest.raises(InputError, match="mirror: the samples of some are no images"):
        Augmentation(mirror=0.5).check(task_of(tokens()))
    with pytest.raises(InputError, match="token_dropout: the samples of some are no tokens"):
        Augmentation(token_dropout=0.5).check(task_of(tokens(), side=2))
    with pytest.raises(InputError, match="crop: 1.0 is too large a share"):
        Augmentation(crop=1.0)
    with pytest.raises(InputError, match="shift_pixels: -1 must not be negative"):
        Augmentation(shift_pixels=-1)
