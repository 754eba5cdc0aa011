from __future__ import annotations

import math

import torch
from torch import Tensor

from neurossm.train.augment import Augmentation, distort


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
