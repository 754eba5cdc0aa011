"""Operations of one row of channels, as lists of primitives that one kernel reads.

Each entry of a plan is a value: a number, a parameter, an input, a state, or a primitive of values
before it. Value 0 is the number 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neurossm.program import Op

NUMBER, SCALAR, ROW, INPUT, STATE = range(5)
"""Leaves: a constant, a parameter all channels share, one per channel, an input, a state."""
ADD, SUB, MUL, LEFT, RIGHT, MIN, MAX, GREATER = range(5, 13)
SELECT, LOOKUP, BIT_LENGTH, TOTAL, LARGEST = range(13, 18)
STATISTICS = (TOTAL, LARGEST)


class Entry(NamedTuple):
    """One value of a plan; the kernel reads these numbers by their position."""

    kind: int
    x: int = 0
    y: int = 0
    z: int = 0
    """Numbers of the values it is computed from; 0 for none."""
    at: int = 0
    """The number; where the parameter or the table begins; which input or state."""
    work: int = 0
    """Whether it is computed in 64 bits; else in 32."""
    wide: int = 0
    """Whether the result needs 64 bits."""


class Clip(NamedTuple):
    """Where to count what saturation changes: the values before and after it."""

    before: int
    after: int
    counter: int


@dataclass(frozen=True, eq=False)
class Chain:
    """What the kernels `pointwise` and `scan` need, besides inputs and states.

    `keep` are the values to store as `dtypes`, `following` the next values of the states. `narrow`
    and `wide` hold the parameters that fit 32 bits, and the others. The first `leaves` values, and
    no others, are numbers and parameters, if there are states.
    """

    plan: tuple[Entry, ...]
    keep: tuple[int, ...]
    following: tuple[int, ...]
    clips: tuple[Clip, ...]
    channels: int
    narrow: Tensor
    wide: Tensor
    dtypes: tuple[torch.dtype, ...]

    @property
    def has_statistics(self) -> bool:
        """Whether it computes anything of a whole row."""
        return any(entry.kind in STATISTICS for entry in self.plan)

    @property
    def leaves(self) -> int:
        """Number of numbers and parameters."""
        return sum(entry.kind <= ROW for entry in self.plan)


def is_pointwise(op: Op) -> bool:
    """Tell whether an operation needs no more than one row: its own step of its own sample."""
    return of_rows(op) and not op.states


def of_rows(op: Op) -> bool:
    """Tell whether an operation has an equation of channels, without modes."""
    return op.traced() is not None and all(item.axis != "mode" for item in op.code.instructions)


def leaves_first(plan: list[Entry]) -> tuple[list[Entry], list[int]]:
    """Order a plan into numbers and parameters, inputs, states, and the rest.

    Also return the new number of each value.
    """
    order = sorted(range(len(plan)), key=lambda i: _rank(plan[i].kind))
    new = [0] * len(plan)
    for number, old in enumerate(order):
        new[old] = number
    moved = [
        plan[old]._replace(x=new[plan[old].x], y=new[plan[old].y], z=new[plan[old].z])
        for old in order
    ]
    return moved, new


def _rank(kind: int) -> int:
    return {INPUT: 1, STATE: 2}.get(kind, 0 if kind <= ROW else 3)
