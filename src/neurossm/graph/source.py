"""Where data enter the float graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.graph.node import FloatWork, Node
from neurossm.graph.range import Range

INPUT_KINDS = ("uint8", "tokens", "float", "counts")


@dataclass(frozen=True, eq=False)
class InputNode(Node):
    """The data: `x = scale * data`.

    `kind` is "uint8" (0 to 255), "tokens" (indices below `size`), "float" (within [low, high], in
    units of the data) or "counts" (integers from low to high, such as events in a bin of time).
    `size` is the number of input channels, or the size of the vocabulary. `low` and `high` say
    nothing of the other kinds, and `scale` nothing of tokens.
    """

    kind: str
    size: int
    low: float
    high: float
    scale: float
    arity: ClassVar[int] = 0
    limited: ClassVar[bool] = True
    work_per_channel: ClassVar[FloatWork | None] = FloatWork()

    def __post_init__(self) -> None:
        """Check the kind, the size and the range."""
        super().__post_init__()
        if self.kind not in INPUT_KINDS:
            raise InputError(
                f"{self.name}: input kind {self.kind!r}, expected one of {', '.join(INPUT_KINDS)}"
            )
        if self.size < 1:
            raise InputError(f"{self.name}: size {self.size}, must be at least 1")
        if not np.isfinite([self.low, self.high, self.scale]).all() or self.low >= self.high:
            raise InputError(f"{self.name}: range [{self.low}, {self.high}] is empty or not finite")
        if self.kind == "counts" and not (self.low == 0 and self.high == int(self.high) < 1 << 30):
            raise InputError(
                f"{self.name}: counts from {self.low:g} to {self.high:g}; they begin at 0 and end "
                "at an integer below 2^30"
            )

    def channels(self, *sizes: int) -> int:
        """Tokens are one index per step."""
        return 1 if self.kind == "tokens" else self.size

    def data_range(self) -> tuple[float, float]:
        """Return the smallest and the largest datum."""
        if self.kind == "uint8":
            return 0.0, 255.0
        return (0.0, self.size - 1.0) if self.kind == "tokens" else (self.low, self.high)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Scale data of the declared kind (B, L, size); pass tokens on."""
        (x,) = inputs
        return x if self.kind == "tokens" else x.astype(np.float64) * self.scale

    def bound(self, *inputs: Range) -> Range:
        """Return the declared range."""
        scale = 1.0 if self.kind == "tokens" else self.scale
        ends = sorted(end * scale for end in self.data_range())
        low, high = (np.full(self.channels(), end) for end in ends)
        return Range(low, high)
