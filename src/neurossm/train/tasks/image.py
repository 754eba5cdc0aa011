"""Image of the Long Range Arena: CIFAR-10 in grey, a pixel per step, row by row.

Grey is the luminance of ITU-R 601, 0.299 R + 0.587 G + 0.114 B, rounded to bytes: the weights of
the Arena, in the integers with which Pillow's ``convert("L")`` reckons.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurossm.errors import FormatError, InputError, MissingDependencyError
from neurossm.files import require_regular
from neurossm.models.config import InputSpec
from neurossm.train.tasks.samples import Samples, Task

SIDE = 32
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCHES = ("test_batch.bin",)
PICTURES = 6_000
"""Of each class, a sixth of them to test on."""

_PIXELS = SIDE * SIDE
_SUFFIXES = (".jpg", ".jpeg", ".png")


def image(
    folder: str | os.PathLike[str], limit: int | None = None, pictures: int = PICTURES
) -> Task:
    """Return grey CIFAR-10.

    Parameters
    ----------
    folder
        ``cifar-10-batches-bin`` as published (Krizhevsky 2009), or the folder that holds it; or a
        folder of picture files, ``train/CLASS/*`` and ``test/CLASS/*`` in JPEG or PNG, which takes
        Pillow.
    limit
        At most so many samples in each part; None: all.
    pictures
        How many there must be of each class, a sixth of them in the test part.

    Returns
    -------
    Task
        The published training and test pictures; nothing is held out (``--validation`` does).

    Raises
    ------
    InputError
        If files are missing.
    MissingDependencyError
        If Pillow is, for picture files.
    FormatError
        If a file is none of CIFAR-10, or a class has another number of pictures.
    """
    root = Path(folder)
    inner = root / "cifar-10-batches-bin"
    root = inner if inner.is_dir() else root
    if (root / "train").is_dir():
        found = [_read_pictures(root / name, limit) for name in ("train", "test")]
    elif (root / TEST_BATCHES[0]).exists():
        batches = (TRAIN_BATCHES, TEST_BATCHES)
        found = [_read_batches([root / name for name in names], limit) for names in batches]
    else:
        raise InputError(
            f"{root}: holds neither {TEST_BATCHES[0]} (the binary version of CIFAR-10) nor "
            "train/CLASS with picture files; --data names a folder with either"
        )
    if limit is None:
        for (_, y), wanted in zip(found, (5 * pictures // 6, pictures // 6), strict=True):
            _check(y, wanted, root)
    train, test = (Samples(torch.from_numpy(x), torch.from_numpy(y)) for x, y in found)
    return Task("image", InputSpec.uint8(1), 10, train, train.take(slice(0)), test, image_side=SIDE)


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luminance (...) of pixels (..., 3)."""
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    weighted = 19595 * red + 38470 * green + 7471 * blue  # 0.299, 0.587 and 0.114, times 2^16
    luminance: NDArray[np.uint8] = ((weighted + (1 << 15)) >> 16).astype(np.uint8)
    return luminance


def _read_batches(
    paths: list[Path], limit: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read binary batches: records of a class and 3 x 1,024 bytes, red, green, blue."""
    records = []
    for path in paths:
        require_regular(path)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        if not content.size or content.size % (1 + 3 * _PIXELS):
            raise FormatError(f"{path}: {content.size} bytes are no records of 3,073, as expected")
        records.append(content.reshape(-1, 1 + 3 * _PIXELS))
    found = np.concatenate(records)[:limit]
    if found[:, 0].max() > 9:
        raise FormatError(f"{paths[0]}: holds the class {found[:, 0].max()}; there are 0 to 9")
    planes = found[:, 1:].reshape(-1, 3, _PIXELS)
    return grey(planes.transpose(0, 2, 1))[:, :, None], found[:, 0].astype(np.int64)


def _read_pictures(folder: Path, limit: int | None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read a folder of picture files, the classes in turn."""
    listed = []
    for y, name in enumerate(CLASSES):
        inner = folder / name
        if not inner.is_dir():
            raise InputError(f"{inner}: no such folder; there is one of each class")
        paths = sorted(path for path in inner.iterdir() if path.suffix.lower() in _SUFFIXES)
        listed += [(number, y, path) for number, path in enumerate(paths)]
    listed = sorted(listed)[:limit]
    if not listed:
        raise InputError(f"{folder}: holds no pictures in JPEG or PNG")
    x = np.stack([grey(_decoded(path)).reshape(_PIXELS, 1) for _, _, path in listed])
    return x, np.array([y for _, y, _ in listed], np.int64)


def _decoded(path: Path) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingDependencyError(
            "picture files are read with Pillow: install neurossm with the extra images"
        ) from None
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise FormatError(f"{path}: no readable picture: {error}") from error
    if values.shape != (SIDE, SIDE, 3):
        raise FormatError(f"{path}: {values.shape[1]} x {values.shape[0]} pixels, not 32 x 32")
    return values


def _check(y: NDArray[np.int64], wanted: int, root: Path) -> None:
    counts = np.bincount(y, minlength=10)
    if (counts != wanted).any():
        raise FormatError(
            f"{root}: {counts.min()} to {counts.max()} pictures of a class in a part that was "
            f"published with {wanted}"
        )
