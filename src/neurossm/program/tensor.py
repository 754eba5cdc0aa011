"""Number formats and bounds of the integer tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray, IntArray, freeze
from neurossm.errors import InputError
from neurossm.program.arithmetic import limits

MAX_BITS = 63
MAX_EXPONENT = 1000
"""Largest exponent in magnitude: doubles reach not much further."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Integers known to lie in [low, high], per channel (C)."""

    low: IntArray
    high: IntArray

    def __post_init__(self) -> None:
        """Hold int64 copies."""
        freeze(self, "low", np.int64, (None,))
        freeze(self, "high", np.int64, self.low.shape)

    @staticmethod
    def of_bits(bits: int, channels: int) -> Interval:
        """Return the whole range of signed integers of `bits` bits."""
        low, high = limits(bits)
        return Interval(np.full(channels, low), np.full(channels, high))

    def largest(self) -> IntArray:
        """Return the largest absolute value, (C)."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def within(self, bits: int) -> bool:
        """Tell whether every integer fits so many bits."""
        low, high = limits(bits)
        return bool((self.low >= low).all() and (self.high <= high).all())

    @property
    def bits(self) -> int:
        """Width of the narrowest signed integers that hold it."""
        return next(n for n in range(1, 65) if self.within(n))

    def check(self, row: IntArray) -> None:
        """Raise InputError where a value (C) is outside."""
        wrong = (row < self.low) | (row > self.high)
        if wrong.any():
            (c, *_) = np.flatnonzero(wrong)
            raise InputError(f"value {row[c]} does not fit [{self.low[c]}, {self.high[c]}]")

    def clipped(self, bits: int) -> Interval:
        """Return the interval after saturation."""
        low, high = limits(bits)
        return Interval(np.clip(self.low, low, high), np.clip(self.high, low, high))


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """What is known of a tensor of signed integers: `value = m * 2**-exponent`.

    Parameters
    ----------
    bits
        Width of a signed integer that holds every value; results are saturated to it.
    exponent
        (C), per channel.
    low, high
        (C): bounds that every integer obeys, after saturation.
    proved
        True where the value is proved to fit `bits` before saturation, for any input and any
        number of steps (up to the program's `max_steps` for the readout).
    """

    bits: int
    exponent: IntArray
    low: IntArray
    high: IntArray
    proved: bool

    def __post_init__(self) -> None:
        """Check widths and shapes."""
        _check_bits(self.bits)
        freeze(self, "exponent", np.int64, (None,))
        if np.abs(self.exponent).max() > MAX_EXPONENT:
            raise InputError(f"exponent beyond {MAX_EXPONENT} in magnitude")
        freeze(self, "low", np.int64, self.exponent.shape)
        freeze(self, "high", np.int64, self.exponent.shape)
        if not self.interval.within(self.bits) or (self.low > self.high).any():
            raise InputError(f"bounds that are empty or beyond the {self.bits} bits of the tensor")

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return self.exponent.size

    @property
    def interval(self) -> Interval:
        """The bounds as an interval."""
        return Interval(self.low, self.high)

    def to_float(self, mantissa: IntArray) -> FloatArray:
        """Return the real values of integers (..., C)."""
        return np.ldexp(mantissa.astype(np.float64), -self.exponent.astype(np.int32))


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise InputError(f"tensor of {bits} bits; between 1 and {MAX_BITS} are possible")


def unchecked(bits: int, exponent: IntArray | int, channels: int) -> TensorSpec:
    """Return a specification that promises nothing but its width; `certify` fills in the rest."""
    _check_bits(bits)
    whole = Interval.of_bits(bits, channels)
    exponents = np.broadcast_to(np.asarray(exponent, dtype=np.int64), (channels,))
    return TensorSpec(bits, exponents, whole.low, whole.high, proved=False)
