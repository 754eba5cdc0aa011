"""What every operation of a program is: named, frozen, stepped in integers, bounded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

import numpy as np

from neurossm.arrays import FloatArray, IntArray, freeze
from neurossm.errors import FormatError, InputError, LimitError
from neurossm.naming import check_name
from neurossm.program.arithmetic import MAX_SHIFT, Tally
from neurossm.program.tensor import Interval, TensorSpec

State = dict[str, IntArray]
"""Integer arrays an operation keeps from one step to the next, each (B, ...); empty for most."""

OpType = TypeVar("OpType", bound="Op")

EXACT_BITS = 62
"""Parameters and intermediate results stay below 2 to this power in magnitude."""


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """One operation: reads the tensors `inputs`, writes the tensor `name`.

    `layer` names the part of the network it belongs to; by default it is a layer of its own.
    `step` is the definition: every engine must give the same integers.
    """

    name: str
    inputs: tuple[str, ...]
    out: TensorSpec
    layer: str = field(default="", kw_only=True)
    arity: ClassVar[int] = 1
    saturates: ClassVar[bool] = True
    """False where the output is the exact result, which must be proved to fit its width."""

    def __post_init__(self) -> None:
        """Check the name and the number of inputs; subclasses add their fields."""
        check_name(self.name)
        object.__setattr__(self, "layer", self.layer or self.name)
        if len(self.inputs) != self.arity:
            raise FormatError(
                f"{self.name}: {type(self).__name__} reads {self.arity} tensors, "
                f"not {len(self.inputs)}"
            )

    def start(self, batch: int) -> State:
        """Return the state before the first step of `batch` samples."""
        return {}

    @abstractmethod
    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute one time step: inputs (B, C_in) to the next state and the output (B, C).

        Saturated integers are counted in `tally` under the tensor's name.
        """

    @abstractmethod
    def bounds(self, *inputs: Interval) -> Interval:
        """Return what the output can be before saturation, given what the inputs can be.

        Sound for any number of steps.

        Raises
        ------
        LimitError
            An intermediate result could reach 2**62.
        """

    def input_channels(self) -> tuple[int | None, ...]:
        """Return the number of channels of each input; None for any that equals the output's."""
        return (self.out.channels,) * self.arity

    def certified(self: OpType, *inputs: Interval) -> OpType:
        """Return the operation with its output's bounds computed from its inputs' bounds."""
        reached = self.bounds(*inputs)
        kept = reached.clipped(self.out.bits)
        out = replace(self.out, low=kept.low, high=kept.high, proved=reached.within(self.out.bits))
        return replace(self, out=out)


def freeze_integers(op: Op, field: str, shape: tuple[int | None, ...]) -> None:
    """Freeze a field of integers, each below 2**62 in magnitude.

    Raises
    ------
    InputError
        Another shape, a number that is no integer, or too large.
    """
    freeze(op, field, np.int64, shape)
    _within(op, field, (1 << EXACT_BITS) - 1)


def freeze_shifts(op: Op, field: str, shape: tuple[int | None, ...]) -> None:
    """Freeze a field of shifts, each in [-62, 62]; InputError as for `freeze_integers`."""
    freeze(op, field, np.int64, shape)
    _within(op, field, MAX_SHIFT)


def _within(op: Op, field: str, limit: int) -> None:
    values = getattr(op, field)
    if values.min() < -limit or values.max() > limit:
        worst = values.max() if values.max() > limit else values.min()
        raise InputError(f"{op.name}.{field}: {worst} is outside [-{limit}, {limit}]")


def check_shift(name: str, field: str, shift: int) -> None:
    """Refuse a scalar shift outside [-62, 62]."""
    if not -MAX_SHIFT <= shift <= MAX_SHIFT:
        raise InputError(f"{name}.{field}: {shift} is outside [-{MAX_SHIFT}, {MAX_SHIFT}]")


def check_exact(name: str, what: str, largest: IntArray | FloatArray | float) -> None:
    """Refuse arithmetic that 63 bits could not hold; `largest` is a bound of its magnitude.

    Raises
    ------
    LimitError
        The bound is 2**62 or more.
    """
    worst = float(np.max(largest))
    if not worst < 2.0**EXACT_BITS:
        raise LimitError(
            f"{name}: {what} can reach 2^{np.log2(worst):.1f}, beyond the {EXACT_BITS} bits of "
            "exact integer arithmetic; use narrower widths"
        )
