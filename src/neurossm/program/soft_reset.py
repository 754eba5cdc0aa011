"""What neurons with soft reset have in common: two states per channel, linear but for the spike."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.program.bounds import Reach
from neurossm.program.feedback_series import feedback_series
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval

STATE_BITS = (2, 40)
"""Least and greatest width of states."""
MOST_SHIFT = 30
"""Largest shift of a coefficient."""
_CAP = 2.0**61
"""Wider than any state; keeps the conversion to integers defined."""


@dataclass(frozen=True)
class Feedback:
    """The linear part of a neuron: `z' = matrix z + drive x + spike s`, and where it rounds.

    All are of a channel each: matrix (H, 2, 2), drive and spike (H, 2). A rounding error of at most
    1/2 enters with the drive, and another one in the second state.
    """

    matrix: FloatArray
    drive: FloatArray
    spike: FloatArray

    def reach(
        self, low: FloatArray, high: FloatArray, unit: FloatArray | float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the least and the greatest states (H, 2), at any time.

        Parameters
        ----------
        low, high
            Of the input, (H).
        unit
            What an integer stands for: rounding errs by half of it.
        """
        second = np.zeros_like(self.drive)
        second[:, 1] = 1.0
        columns = np.stack([self.drive, second, self.spike], axis=2)
        positive, negative = feedback_series(self.matrix, columns)
        up, down = (np.maximum(part, 0.0)[:, None] for part in (np.asarray(high), -np.asarray(low)))
        rounded = (positive + negative)[:, :, :2].sum(axis=2)
        drift = _times(rounded, 0.5 * np.reshape(np.asarray(unit), (-1, 1)))
        most = _times(positive[:, :, 0], up) + _times(negative[:, :, 0], down)
        least = _times(negative[:, :, 0], up) + _times(positive[:, :, 0], down)
        return -(least + negative[:, :, 2] + drift), most + positive[:, :, 2] + drift


def _times(series: FloatArray, size: FloatArray) -> FloatArray:
    """Return products in which nothing times infinity is nothing."""
    with np.errstate(invalid="ignore"):
        return np.where(size == 0, 0.0, series * size)


@dataclass(frozen=True, eq=False)
class SoftReset(Op):
    """An operation whose two states feed their own spike back."""

    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "spikes"
    float_bounds: ClassVar[bool] = True

    @abstractmethod
    def feedback(self) -> Feedback:
        """Return the linear part, in units of the integers."""

    def check_range(self, *fields: tuple[str, str]) -> None:
        """Check widths, shifts, and that resets leave the states' width to them.

        Parameters
        ----------
        fields
            Names of coefficients and of their shifts.

        Raises
        ------
        InputError
            A shift outside 0 to 30, a coefficient of magnitude 2 or more, or a width out of range.
        """
        least, most = STATE_BITS
        bits: int = getattr(self, "state_bits")  # noqa: B009 - declared by subclasses
        if not least <= bits <= most:
            raise InputError(f"{self.name}: state_bits {bits}, must be {least} to {most}")
        for coefficient, shift in fields:
            by = getattr(self, shift)
            if (by < 0).any() or (by > MOST_SHIFT).any():
                raise InputError(f"{self.name}: {shift} must be 0 to {MOST_SHIFT}")
            value = getattr(self, coefficient)
            if (np.abs(value) > np.int64(2) << by).any():
                raise InputError(f"{self.name}: {coefficient} outside [-2, 2] times 2^{shift}")

    def state_bounds(self, *inputs: Interval) -> dict[str, Reach]:
        """Bound both states before saturation, before and after the reset, at any time.

        The spike is taken for an input of 0 or 1 of which nothing more is known: see
        `feedback_series`. If any state may be clipped, nothing is known of either but its width.
        """
        (x,) = inputs
        low, high = self.feedback().reach(x.low.astype(float), x.high.astype(float), 1.0)
        names = [state.name for state in self.states]
        low, high = np.clip(low, -_CAP, _CAP), np.clip(high, -_CAP, _CAP)
        reach = {
            name: Reach(np.floor(low[:, i]).astype(np.int64), np.ceil(high[:, i]).astype(np.int64))
            for i, name in enumerate(names)
        }
        fits = np.logical_and.reduce([_fits(reach[s.name], self.width_of(s)) for s in self.states])
        wide = super().state_bounds(*inputs)
        return {
            name: Reach(
                np.where(fits, reach[name].low, wide[name].low),
                np.where(fits, reach[name].high, wide[name].high),
            )
            for name in names
        }


def _fits(reach: Reach, bits: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    limit = 1 << (bits - 1)
    return (reach.low >= -limit) & (reach.high < limit)
