"""Piecewise-linear functions on equal segments: sigmoid and GELU by shifts and additions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import EXACT_BITS, check_exact
from neurossm.program.expression import Expression, floor_shift, lookup, maximum, minimum, rshift
from neurossm.program.fields import Symbols, per_entry, scalar
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval
from neurossm.program.work import Work, signed_digits


@dataclass(frozen=True, eq=False)
class Table(Op):
    """`y = sat(base[i] + rshift(slope[i] * (x - origin - i * 2**width), slope_shift))`.

    `i = clamp(floor((x - origin) / 2**width), 0, S - 1)`; `base` and `slope` are (S), shared by all
    channels. The first and the last segment extend without limit. Each slope has few nonzero
    signed binary digits, so that the product is that many shifts and additions.
    """

    origin: int = scalar()
    width: int = scalar()
    base: IntArray = per_entry()
    slope: IntArray = per_entry()
    slope_shift: int = scalar(shift=True)
    derived: ClassVar[Mapping[str, str]] = {"last": "shared", "left": "entry"}

    def __post_init__(self) -> None:
        """Check that the segments are within reach."""
        super().__post_init__()
        if self.width < 0:
            raise InputError(f"{self.name}: segments 2^{self.width} wide, must be at least 1")
        limit = 1 << EXACT_BITS
        if self.width >= EXACT_BITS or abs(self.origin) + (self.base.size << self.width) >= limit:
            raise InputError(f"{self.name}: segments reach beyond 2^{EXACT_BITS}")

    @property
    def last(self) -> int:
        """Number of the last segment, S - 1."""
        return self.base.size - 1

    @property
    def left(self) -> IntArray:
        """Where each segment begins, (S)."""
        return self.origin + (np.arange(self.base.size) << self.width)

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Find the segment, and follow its line."""
        place = floor_shift(x[0] - f.origin, f.width)
        segment = minimum(maximum(place, 0), f.last)
        moved = x[0] - lookup(f.left, segment)
        return lookup(f.base, segment) + rshift(lookup(f.slope, segment) * moved, f.slope_shift)

    def bounds(self, *inputs: Interval) -> Interval:
        """Linear within a segment, so the extremes are at the ends of segments or of the input."""
        (x,) = inputs
        reach = (x.largest() + abs(self.origin)).astype(np.float64)
        steepest = np.abs(self.slope).max() * 2.0 ** max(-self.slope_shift, 0)
        check_exact(self.name, "slope * x", reach * steepest)
        corners = np.concatenate([self.left, self.left[1:] - 1])  # (2 S - 1): ends of segments
        inside = np.clip(corners[:, None], x.low, x.high)  # (2 S - 1, C)
        ends = np.concatenate([inside, [x.low, x.high]])
        values = self.unsaturated(ends)
        return Interval(values.min(axis=0), values.max(axis=0))

    def work(self) -> Work:
        """Count the offset from the segment's left end, and the slope's signed digits.

        Each nonzero digit of the slope adds one shifted offset to the base; the segment with the
        most digits is charged everywhere.
        """
        return Work(elementwise_adds=1 + max(signed_digits(int(slope)) for slope in self.slope))
