"""Sequential MNIST from its original files."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurossm.errors import FormatError, InputError
from neurossm.files import require_regular
from neurossm.models.config import InputSpec
from neurossm.train.tasks.samples import Samples, Task

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Digests of the uncompressed files."""

_IDX_BYTES, _IDX_AXES = 1 << 28, 8


def read_idx(path: str | os.PathLike[str], sha256: str | None = None) -> NDArray[np.uint8]:
    """Read an IDX file of bytes, plain or gzip-compressed.

    Parameters
    ----------
    path
        The file; if it is not there, the same name with ``.gz`` is tried.
    sha256
        Digest that the uncompressed content must have; None: any.

    Returns
    -------
    numpy.ndarray
        uint8, of the shape that the header states.

    Raises
    ------
    InputError
        If there is no such file.
    FormatError
        If it is not IDX, is damaged or very large, or is not the expected content.
    """
    plain = Path(path)
    packed = plain.with_name(plain.name + ".gz")
    source = plain if plain.exists() else packed
    if not source.exists():
        raise InputError(f"{plain}: no such file, nor {packed.name}; --data names its folder")
    require_regular(source)
    try:
        with gzip.open(source) if source.suffix == ".gz" else open(source, "rb") as file:
            content = file.read(_IDX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{source}: cannot be read: {error}") from error
    if len(content) > _IDX_BYTES:
        raise FormatError(f"{source}: more than {_IDX_BYTES >> 20} MB, the limit; MNIST takes 45")
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise FormatError(f"{source}: not the original MNIST file (its SHA-256 differs)")
    ndim = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 3 else 0
    start = 4 + 4 * ndim
    if not 1 <= ndim <= _IDX_AXES or len(content) < start:
        raise FormatError(f"{source}: not an IDX file of bytes")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ndim, 4))
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != math.prod(shape):
        raise FormatError(f"{source}: {values.size} bytes of data, the header says {shape}")
    return values.reshape(shape)


def sequential_mnist(
    folder: str | os.PathLike[str], held_out: int = 5000, permuted: bool = False
) -> Task:
    """Return sequential MNIST: each digit is 784 pixels, one per time step.

    Parameters
    ----------
    folder
        Where the four original IDX files are, plain or ``.gz``.
    held_out
        How many training digits, the last ones of the file, are kept out of training.
    permuted
        Whether the pixels come in a fixed random order, the same for all digits, instead of row
        by row: that of NumPy's ``RandomState(92916)``, as in other work with this task.

    Raises
    ------
    InputError, FormatError
        See `read_idx`.
    """
    arrays = [read_idx(Path(folder) / name, digest) for name, digest in MNIST_SHA256.items()]
    train_x, train_y, test_x, test_y = (torch.from_numpy(array.copy()) for array in arrays)
    order = None
    if permuted:
        order = torch.from_numpy(np.random.RandomState(92916).permutation(784))
    steps = slice(None) if order is None else order
    train = Samples(train_x.reshape(-1, 784, 1)[:, steps], train_y.long())
    test = Samples(test_x.reshape(-1, 784, 1)[:, steps], test_y.long())
    cut = len(train) - held_out
    return Task(
        "psmnist" if permuted else "smnist",
        InputSpec.uint8(1),
        10,
        train.take(slice(cut)),
        train.take(slice(cut, None)),
        test,
        image_side=28,
        order=order,
    )
