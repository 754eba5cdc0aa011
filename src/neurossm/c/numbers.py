"""C's integer types: the narrowest that holds a range, and how a number is written in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CType:
    """A type of `stdint.h`, with the letter that NumPy has for it."""

    bits: int
    signed: bool = True

    @property
    def name(self) -> str:
        """As C calls it."""
        return f"{'' if self.signed else 'u'}int{self.bits}_t"

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.bits // 8

    @property
    def letter(self) -> str:
        """As NumPy, and Python's `struct`, call it: "b", "h", "i", "q"; capitals without sign."""
        letter = {8: "b", 16: "h", 32: "i", 64: "q"}[self.bits]
        return letter if self.signed else letter.upper()

    @property
    def low(self) -> int:
        """The least number."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest number."""
        return (1 << (self.bits - self.signed)) - 1

    def holds(self, low: int, high: int) -> bool:
        """Tell whether it holds a range."""
        return self.low <= low and high <= self.high


INT32, INT64 = CType(32), CType(64)
_NARROW = (CType(8, False), CType(8), CType(16, False), CType(16), INT32, INT64)


def narrowest(low: int, high: int) -> CType:
    """Return the narrowest type that holds a range, to store numbers in; without sign if it can be.

    Some processors multiply bytes without sign by bytes with one faster than others.
    """
    return next(kind for kind in _NARROW if kind.holds(low, high))


def narrowest_of(values: NDArray[Any]) -> CType:
    """Return the narrowest type that holds these numbers."""
    return narrowest(int(values.min()), int(values.max()))


def working(low: int, high: int) -> CType:
    """Return the type to compute in: no narrower than 32 bits, which is what C promises little of.

    On 16-bit machines products of `int16_t` are computed in 16 bits, so everything is converted.
    """
    return INT32 if INT32.holds(low, high) else INT64


def literal(value: int, kind: CType) -> str:
    """Return a constant of a type to compute in."""
    if value == kind.low:  # C has no negative literals: the number without sign is too large
        return f"({literal(value + 1, kind)} - 1)"
    text = str(abs(value)) if kind.bits == 32 else f"INT64_C({abs(value)})"
    return f"(-{text})" if value < 0 else text


def ends(values: NDArray[Any]) -> tuple[int, int]:
    """Return the least and the greatest of some numbers."""
    return int(np.min(values)), int(np.max(values))


def cast(text: str, own: CType, wanted: CType) -> str:
    """Return an expression of one type converted to another."""
    if own == wanted:
        return text
    atom = text.replace("_", "").isalnum() or (text.endswith("]") and " " not in text)
    return f"({wanted.name}){text if atom else f'({text})'}"
