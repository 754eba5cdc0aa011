"""The program's input: data to integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import FloatArray, IntArray
from neurossm.errors import InputError
from neurossm.graph.data import check_data
from neurossm.graph.nodes import INPUT_KINDS
from neurossm.program.arithmetic import Tally, check_exact
from neurossm.program.operation import Op, States
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Input(Op):
    """The data as integers.

    "uint8": `m` is the byte. "tokens": `m` is the index. "counts": `m` is the count, from 0 to
    high. "float": `m = floor(x * 2**e + 1/2)` with the exponent `e` of the output, for `x` in
    [low, high]. `size` is the number of channels, or the size of the vocabulary.
    """

    kind: str
    size: int
    low: float
    high: float
    arity: ClassVar[int] = 0
    saturates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the kind, the number of channels and the range."""
        super().__post_init__()
        if self.kind == "tokens":
            object.__setattr__(self, "emits", "token")
        if self.kind not in INPUT_KINDS:
            raise InputError(
                f"{self.name}: input kind {self.kind!r}, expected one of {', '.join(INPUT_KINDS)}"
            )
        channels = 1 if self.kind == "tokens" else self.size
        if self.size < 1 or self.out.channels != channels:
            raise InputError(
                f"{self.name}: {self.kind} input of size {self.size} with {self.out.channels} "
                "channels"
            )
        if not np.isfinite([self.low, self.high]).all() or self.low > self.high:
            raise InputError(f"{self.name}: range [{self.low}, {self.high}] is empty or not finite")
        if self.kind == "counts" and not (self.low == 0 and self.high == int(self.high) < 1 << 30):
            raise InputError(
                f"{self.name}: counts from {self.low:g} to {self.high:g}; they begin at 0 and end "
                "at an integer below 2^30"
            )

    def encode(self, data: ArrayLike, where: str = "data", *, widen: bool = True) -> IntArray:
        """Turn data (B, L, size), or (B, L) for one channel, into integers (B, L, channels).

        They are int64; unless `widen`, pixels stay uint8.

        Raises
        ------
        InputError
            The data do not suit the input's kind, size or range.
        """
        x = check_data(self, data, where)
        if self.kind == "uint8" and not widen:
            return cast(IntArray, x)
        if self.kind != "float":
            return x.astype(np.int64)
        return self._scaled(x.astype(np.float64)).astype(np.int64)

    def step(self, state: States, *inputs: IntArray, tally: Tally) -> tuple[States, IntArray]:
        """Pass on the integers (B, channels) that `encode` made."""
        return state, inputs[0]

    def bounds(self, *inputs: Interval) -> Interval:
        """Return the declared range."""
        if self.kind == "tokens":
            return Interval(np.zeros(1, np.int64), np.full(1, self.size - 1))
        if self.kind in ("uint8", "counts"):
            most = 255 if self.kind == "uint8" else int(self.high)
            return Interval(np.zeros(self.size, np.int64), np.full(self.size, most))
        with np.errstate(over="ignore"):  # infinity is refused in the next line
            low, high = (self._scaled(np.full(self.size, end)) for end in (self.low, self.high))
        check_exact(self.name, "x * 2^exponent", np.maximum(np.abs(low), np.abs(high)))
        return Interval(low.astype(np.int64), high.astype(np.int64))

    def _scaled(self, x: FloatArray) -> FloatArray:
        """Return `floor(x * 2**e + 1/2)` of (..., channels), without rounding the sum."""
        scaled = np.ldexp(x, self.out.exponent.astype(np.int32))  # exact
        floor: FloatArray = np.floor(scaled)
        return floor + (scaled - floor >= 0.5)
