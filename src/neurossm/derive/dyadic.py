"""Numbers of the form `m 2**-e`, exactly: what the parameters of a float kernel must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray

Exact = NDArray[Any]
"""Python integers of any size in an array."""


def exact(values: Any) -> Exact:
    """Return Python integers."""
    return np.asarray(values).astype(object)


@dataclass(frozen=True, eq=False)
class Dyadic:
    """`mantissa * 2**-exponent`, arrays of one shape or single numbers."""

    mantissa: Exact
    exponent: Exact

    @staticmethod
    def of(values: Any) -> Dyadic:
        """Return integers."""
        return Dyadic(exact(values), exact(np.zeros(np.shape(values), np.int64)))

    def __mul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.mantissa * other.mantissa, self.exponent + other.exponent)

    def __neg__(self) -> Dyadic:
        return Dyadic(-self.mantissa, self.exponent)

    def __add__(self, other: Dyadic) -> Dyadic:
        fine = np.maximum(self.exponent, other.exponent)
        return Dyadic(self.in_units(fine) + other.in_units(fine), fine)

    def scaled(self, k: Any) -> Dyadic:
        """Return it times `2**-k`."""
        return Dyadic(self.mantissa + exact(np.zeros(np.shape(k), np.int64)), self.exponent + k)

    def in_units(self, exponent: Exact) -> Exact:
        """Return how many `2**-exponent` it is, which must not be coarser."""
        units: Exact = self.mantissa * 2 ** exact(exponent - self.exponent)
        return units

    def floats(self) -> FloatArray:
        """Return 64-bit floats, exact where the mantissa has at most 53 bits."""
        mantissa = np.asarray(self.mantissa, object).astype(np.float64)
        exponent = np.asarray(self.exponent, object).astype(np.int64)
        return np.ldexp(mantissa, -np.clip(exponent, -1000, 1000).astype(np.int32))
