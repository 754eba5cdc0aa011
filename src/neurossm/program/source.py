"""The program's input: data to integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.graph.data import check_data
from neurossm.graph.nodes import INPUT_KINDS
from neurossm.program.arithmetic import Tally
from neurossm.program.op import Op, State
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Input(Op):
    """The data as integers.

    "uint8": `m` is the byte. "tokens": `m` is the index. "float": `m = floor(x * 2**e + 1/2)` with
    the exponent `e` of the output, for `x` in [low, high]. `size` is the number of channels, or
    the size of the vocabulary.
    """

    kind: str
    size: int
    low: float
    high: float
    arity: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Check the kind and the number of channels."""
        super().__post_init__()
        channels = 1 if self.kind == "tokens" else self.size
        if self.kind not in INPUT_KINDS or self.out.channels != channels:
            raise InputError(f"{self.name}: kind {self.kind!r} with {self.out.channels} channels")

    def encode(self, data: NDArray[np.generic], where: str = "data") -> IntArray:
        """Turn data (B, L, size), or (B, L) for one channel, into integers (B, L, channels).

        Raises
        ------
        InputError
            The data do not suit the input's kind, size or range.
        """
        data = check_data(self, data, where)
        if self.kind != "float":
            return data.astype(np.int64)
        scaled = np.ldexp(data.astype(np.float64), self.out.exponent.astype(np.int32))
        return np.floor(scaled + 0.5).astype(np.int64)

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Pass on the integers (B, channels) that `encode` made."""
        return state, inputs[0]

    def bounds(self, *inputs: Interval) -> Interval:
        """Return the declared range."""
        if self.kind == "tokens":
            return Interval(np.zeros(1), np.full(1, self.size - 1))
        if self.kind == "uint8":
            return Interval(np.zeros(self.size), np.full(self.size, 255))
        ends = np.array([[self.low], [self.high]])
        scaled = np.ldexp(ends, self.out.exponent.astype(np.int32))
        low, high = np.floor(scaled + 0.5).astype(np.int64)
        return Interval(low, high)
