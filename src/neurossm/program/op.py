"""What every operation of a program is: named, frozen, stepped in integers, bounded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import FormatError
from neurossm.program.arithmetic import Tally
from neurossm.program.tensor import Interval, TensorSpec

State = dict[str, IntArray]
"""Integer arrays an operation keeps from one step to the next, each (B, ...); empty for most."""

OpType = TypeVar("OpType", bound="Op")


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """One operation: reads the tensors `inputs`, writes the tensor `name`.

    `step` is the definition: every engine must give the same integers.
    """

    name: str
    inputs: tuple[str, ...]
    out: TensorSpec
    arity: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the number of inputs; subclasses add their fields."""
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


def check_exact(name: str, what: str, largest: IntArray | float) -> None:
    """Refuse arithmetic that 63 bits could not hold; `largest` is a bound of its magnitude.

    Raises
    ------
    LimitError
        The bound is 2**62 or more.
    """
    from neurossm.errors import LimitError

    worst = float(np.max(largest))
    if not worst < 2.0**62:
        raise LimitError(
            f"{name}: {what} can reach 2^{np.log2(worst):.1f}, beyond the 62 bits of exact integer "
            "arithmetic; use narrower widths"
        )
