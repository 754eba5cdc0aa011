"""What real values a tensor can take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Range:
    """Real values lie in [low, high], per channel (C)."""

    low: FloatArray
    high: FloatArray

    @staticmethod
    def between(first: FloatArray, second: FloatArray) -> Range:
        """Return the range between two values, whichever is larger."""
        return Range(np.minimum(first, second), np.maximum(first, second))

    def largest(self) -> FloatArray:
        """Return the largest absolute value, (C)."""
        largest: FloatArray = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest

    def hull(self, other: Range) -> Range:
        """Return the smallest range that holds both."""
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def widened(self, factor: float) -> Range:
        """Return the range with its ends moved away from zero; `factor` is at least 1."""
        return Range(
            np.minimum(self.low, self.low * factor), np.maximum(self.high, self.high * factor)
        )
