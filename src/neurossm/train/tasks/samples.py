"""Samples of a task: raw inputs, labels, and which of them a training may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurossm.errors import InputError
from neurossm.models.config import InputSpec


@dataclass(frozen=True)
class Samples:
    """Raw inputs and labels.

    Attributes
    ----------
    x
        (S, L, size), or (S, L) for tokens.
    y
        int64 (S,): classes; or (S, L), those of every step, 0 after a sample's end.
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
        return self.y.new_full((len(self),), whole) if self.lengths is None else self.lengths

    @property
    def each(self) -> bool:
        """Whether every step has a label."""
        return self.y.ndim > 1

    @property
    def answers(self) -> int:
        """How many labels there are."""
        return int(self.steps().sum()) if self.each else len(self)

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
        y = self.y[:, :steps] if self.each else self.y
        return replace(self, x=self.x[:, :steps], y=y)

    def limited(self, count: int | None) -> Samples:
        """Return the first samples, at most so many; None: all."""
        return self if count is None else self.take(slice(count))

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

    def limited(self, count: int | None) -> Task:
        """Return the task with at most so many samples in each part; None: all."""
        parts = (part.limited(count) for part in (self.train, self.held_out, self.test))
        train, held_out, test = parts
        return replace(self, train=train, held_out=held_out, test=test)

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
