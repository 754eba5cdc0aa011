"""Tasks to train on: sequential MNIST from its original files, and a small synthetic one."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurossm.errors import FormatError, InputError
from neurossm.models.config import InputSpec

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Digests of the uncompressed files."""


@dataclass(frozen=True)
class Samples:
    """Raw inputs and labels.

    Attributes
    ----------
    x
        (S, L, size), or (S, L) for tokens.
    y
        int64 (S,).
    lengths
        int64 (S,): the steps of each sample, the others are filled up; None: all.
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def steps(self) -> Tensor:
        """Return the steps of each sample."""
        whole = self.x.shape[1]
        return self.y.new_full(self.y.shape, whole) if self.lengths is None else self.lengths

    def map(self, function: Callable[[Tensor], Tensor]) -> Samples:
        """Return the samples with a function applied to each tensor; the first axis is theirs."""
        lengths = None if self.lengths is None else function(self.lengths)
        return Samples(function(self.x), function(self.y), lengths)

    def to(self, device: torch.device) -> Samples:
        """Return the samples on a device."""
        return self.map(lambda values: values.to(device))

    def take(self, chosen: Tensor | slice) -> Samples:
        """Return some of the samples."""
        return self.map(lambda values: values[chosen])

    def first(self, steps: int) -> Samples:
        """Return the samples with no more than their first steps; none may be longer."""
        return replace(self, x=self.x[:, :steps])

    def joined(self, other: Samples) -> Samples:
        """Return these samples, then others of as many steps."""
        lengths = None
        if self.lengths is not None or other.lengths is not None:
            lengths = torch.cat([self.steps(), other.steps()])
        return Samples(torch.cat([self.x, other.x]), torch.cat([self.y, other.y]), lengths)

    def split(self, count: int) -> list[Samples]:
        """Return the samples in groups of so many."""
        return [self.take(slice(start, start + count)) for start in range(0, len(self), count)]

    def copy_(self, other: Samples) -> None:
        """Overwrite the samples in place."""
        self.x.copy_(other.x)
        self.y.copy_(other.y)
        if self.lengths is not None and other.lengths is not None:
            self.lengths.copy_(other.lengths)


@dataclass(frozen=True)
class Task:
    """A classification task.

    Attributes
    ----------
    name
        As on the command line.
    input, classes
        What a model for it reads, and how many classes it tells apart.
    train, held_out, test
        Samples to learn from, to make choices on (none: of length 0), and to report once.
    image_side
        Side of the square images the sequences are rows of; None if they are none.
    order
        Which pixel of the image, counted row by row, comes at each step; None: row by row.
    """

    name: str
    input: InputSpec
    classes: int
    train: Samples
    held_out: Samples
    test: Samples
    image_side: int | None = None
    order: Tensor | None = None

    def holding_out(self, share: float | None) -> Task:
        """Return the task with that share of its training samples held out instead of its own.

        They are drawn once and for all: the same ones for every seed of a training. None leaves
        the task as it is, 0 trains on everything.

        Raises
        ------
        InputError
            If the share leaves no sample to hold out, or none to train on.
        """
        if share is None:
            return self
        everything = self.train.joined(self.held_out)
        count = round(share * len(everything))
        if share > 0 and not 0 < count < len(everything):
            raise InputError(f"validation: {share} of {len(everything)} samples are {count}")
        drawn = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0))
        kept = drawn[count:].sort().values
        return replace(self, train=everything.take(kept), held_out=everything.take(drawn[:count]))


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
        If it is not IDX, is damaged, or is not the expected content.
    """
    plain = Path(path)
    packed = plain.with_name(plain.name + ".gz")
    source = plain if plain.exists() else packed
    if not source.exists():
        raise InputError(f"{plain}: no such file, nor {packed.name}; --data names its folder")
    try:
        content = source.read_bytes()
        content = gzip.decompress(content) if source.suffix == ".gz" else content
    except (OSError, EOFError) as error:
        raise FormatError(f"{source}: {error}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise FormatError(f"{source}: not the original MNIST file (its SHA-256 differs)")
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise FormatError(f"{source}: not an IDX file of bytes")
    ndim = content[3]
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ndim, 4))
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * ndim)
    if values.size != int(np.prod(shape)):
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


def token_order(length: int = 64, vocabulary: int = 8, samples: int = 4096) -> Task:
    """Return a synthetic task: which of two marker tokens comes first in a stream of others.

    Tokens 0 and 1 appear once each; the label is 1 if token 1 comes first. The same samples every
    time; an eighth each is held out and kept for the test.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, vocabulary, (samples, length), generator=generator)
    places = torch.rand(samples, length, generator=generator).argsort(dim=1)[:, :2]
    x.scatter_(1, places, torch.tensor([0, 1]).expand(samples, 2))
    y = (places[:, 1] < places[:, 0]).long()
    eighth = samples // 8
    test, held_out, train = (
        Samples(x, y).take(part)
        for part in (slice(eighth), slice(eighth, 2 * eighth), slice(2 * eighth, None))
    )
    return Task("token-order", InputSpec.tokens(vocabulary), 2, train, held_out, test)
