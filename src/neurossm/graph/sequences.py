"""Samples that may end early, and how those of one length, or the longest, are taken together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray


@dataclass(frozen=True, eq=False)
class Sequences:
    """Checked samples in one array, which may end early.

    Parameters
    ----------
    x
        (B, L, channels). What stands after the end of a sample is its first step, repeated.
    lengths
        (B) valid steps of each sample, 1 to L; None where all have L.
    """

    x: NDArray[np.generic]
    lengths: IntArray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, chosen: IntArray | slice) -> Sequences:
        """Return some of the samples."""
        return Sequences(self.x[chosen], None if self.lengths is None else self.lengths[chosen])

    @property
    def steps(self) -> IntArray:
        """Valid steps of each sample, (B)."""
        every = np.full(len(self.x), self.x.shape[1], np.int64)
        return every if self.lengths is None else self.lengths

    def joined(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values (B, L, ...) of the valid steps one after the other, (steps, ...)."""
        return values[self._valid]

    def apart(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows of the valid steps (steps, ...) as (B, L, ...), 0 after a sample's end."""
        values = np.zeros((*self.x.shape[:2], *rows.shape[1:]), rows.dtype)
        values[self._valid] = rows
        return values

    @property
    def _valid(self) -> NDArray[np.bool_]:
        """Which steps are valid, (B, L)."""
        valid: NDArray[np.bool_] = np.arange(self.x.shape[1]) < self.steps[:, None]
        return valid

    def whole(self, most: int) -> Iterator[tuple[slice, NDArray[np.generic]]]:
        """Yield samples without what stands after their end: (b, n, channels), and which they are.

        At most `most` samples come together: neighbours of one length.
        """
        for first, last in runs_of_one_length(self.steps, most):
            yield slice(first, last), self.x[first:last, : int(self.steps[first])]


def runs_of_one_length(lengths: IntArray, most: int) -> Iterator[tuple[int, int]]:
    """Yield first and last (exclusive) of at most `most` neighbours that are equally long."""
    edges = [*np.flatnonzero(np.diff(lengths, prepend=-1)).tolist(), len(lengths)]
    for start, stop in pairwise(edges):
        for first in range(start, stop, most):
            yield first, min(first + most, stop)


def longest_first(lengths: IntArray) -> IntArray:
    """Return the numbers of samples in order of length, the longest first."""
    return np.argsort(-lengths, kind="stable")


def spans(lengths: IntArray, most: int) -> Iterator[tuple[int, int, int]]:
    """Yield spans of time in which the same samples run: first step, last (exclusive), how many.

    `lengths` descend, so that it is the first samples that run. No span is longer than `most`.
    """
    begin = 0
    for end in np.unique(lengths).tolist():
        running = int(np.count_nonzero(lengths >= end))
        for start in range(begin, end, most):
            yield start, min(start + most, end), running
        begin = end
