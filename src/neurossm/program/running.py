"""What every engine takes and returns: names to record, pieces of tensors, results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from neurossm.arrays import IntArray, as_names
from neurossm.errors import InputError

if TYPE_CHECKING:
    from neurossm.program.program import Program

Sink = Callable[[str, int, int, IntArray], None]
"""Takes a piece of a recorded tensor: name, first sample, first step, values (b, steps, ...)."""


@dataclass(frozen=True, eq=False)
class Run:
    """What an engine returns.

    Parameters
    ----------
    logits
        (B, classes) int64; (B, L, classes) where every step has its own, 0 after a sample's end.
    saturations
        Integers clipped, by tensor ("NAME:state" for states); empty when there were none.
    tensors
        Recorded tensors, (B, L, C) int64; the states "NAME:state_re" of an SSM are (B, L, H, N).
        They are 0 after the end of a sample.
    nonzeros
        How many steps a counted tensor was not 0, (B, C) int64.
    totals
        What the readout keeps of all steps, their sum or what it pools, (B, H) int64.
    """

    logits: IntArray
    saturations: dict[str, int] = field(default_factory=dict)
    tensors: dict[str, IntArray] = field(default_factory=dict)
    nonzeros: dict[str, IntArray] = field(default_factory=dict)
    totals: IntArray = field(default_factory=lambda: np.zeros((0, 0), np.int64))


class Kept:
    """A sink that keeps what is recorded.

    Attributes
    ----------
    names
        What is to be recorded, checked.
    tensors
        By name, (B, L, ...) int64: 0 where nothing has come.
    """

    def __init__(self, program: Program, record: Iterable[str], shape: tuple[int, ...]) -> None:
        """Make room for samples and steps of `shape`; InputError for an unknown name."""
        self.names = check_recordable(program, record)
        self.tensors: dict[str, IntArray] = {
            name: np.zeros((*shape[:2], *program.recordings[name].shape), np.int64)
            for name in self.names
        }

    def __call__(self, name: str, sample: int, step: int, values: IntArray) -> None:
        """Keep a piece."""
        self.tensors[name][sample : sample + len(values), step : step + values.shape[1]] = values


def check_recordable(program: Program, record: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, or refuse one the program does not have."""
    names = as_names(record, "record")
    for name in names:
        if name not in program.recordings:
            raise InputError(f"record: the program has no tensor {name!r}")
    return names


def check_countable(program: Program, count: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, or refuse one that is no operation's output."""
    names = as_names(count, "count")
    for name in names:
        if name not in program.recordings or program.recordings[name].state is not None:
            raise InputError(f"count: the program has no operation {name!r}")
    return names
