"""The fixed-point SSM neuron: a diagonal complex state-space model in integers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import MAX_SHIFT
from neurossm.program.bounds import Reach
from neurossm.program.expression import Expression, Step, over_modes, rshift, saturated
from neurossm.program.fields import State, Symbols, per_channel, per_mode, scalar
from neurossm.program.operation import Op
from neurossm.program.pole_series import pole_series
from neurossm.program.response import response_sums
from neurossm.program.tensor import Interval

UNDAMPED_LOG2 = 24
"""Poles obey `|q|**2 <= 1 - 2**-24`, so that the sums over their powers stay within reach."""
STATE_BITS = (2, 40)
"""Least and greatest width of states."""
ABSENT_SHIFT = 30
"""The pole shift of a mode that is not there."""


@dataclass(frozen=True, eq=False)
class SSM(Op):
    """One complex recurrence per channel and mode, and its real readout.

    With `A = pole_shift`, `k = input_shift`, `m = readout_shift` and the old states on the right::

        s_re' = sat(rshift(a_re s_re - a_im s_im + u 2^(A + k), A))      state_bits
        s_im' = sat(rshift(a_re s_im + a_im s_re, A))                    state_bits
        y     = sat(sum_n rshift(c_re s_re' - c_im s_im', m) + rshift(d u, d_shift))

    `a_re`, `a_im`, `pole_shift`, `input_shift`, `c_re`, `c_im` are (H, N) (a single `pole_shift` is
    spread over all modes); `readout_shift`, `d`, `d_shift` are (H). The states of a new sample are
    0. The pole of a mode is `(a_re + i a_im) / 2^A`, inside the unit circle by a margin. Where
    `k >= 0` the input enters as `u 2^k` exactly; where `k < 0` it is added before the rounding, so
    that no bit of it is lost.

    A slow mode's pole is near 1: its `A` can be large while `2^A - a_re` and `a_im` stay narrow,
    which is how hardware stores it (`stored_poles`); with `b = 2^A - a_re` the first line is
    `sat(s_re + rshift(-b s_re - a_im s_im + u 2^(A + k), A))`.

    Channels may have different numbers of modes: those that a channel lacks stand behind its own,
    with `a = c = 0`, `A = 30` and `k = -30`. By the equation their states are 0 for inputs below
    2^29, so whoever leaves them out computes the same; `mode_counts` says how many remain.
    """

    a_re: IntArray = per_mode()
    a_im: IntArray = per_mode()
    pole_shift: IntArray = per_mode(shift=True)
    input_shift: IntArray = per_mode(shift=True)
    c_re: IntArray = per_mode()
    c_im: IntArray = per_mode()
    readout_shift: IntArray = per_channel(shift=True)
    d: IntArray = per_channel()
    d_shift: IntArray = per_channel(shift=True)
    state_bits: int = scalar()
    states: ClassVar[tuple[State, ...]] = (
        State("state_re", "mode", "state_bits"),
        State("state_im", "mode", "state_bits"),
    )
    float_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check shapes, shifts, widths and that every pole is stable."""
        if np.ndim(self.pole_shift) == 0:
            spread = np.full(np.shape(self.a_re), self.pole_shift)
            object.__setattr__(self, "pole_shift", spread)
        super().__post_init__()
        least, most = STATE_BITS
        if not least <= self.state_bits <= most:
            raise InputError(
                f"{self.name}: state_bits {self.state_bits}, must be {least} to {most}"
            )
        if (self.pole_shift < 1).any() or (self.pole_shift > 30).any():
            raise InputError(
                f"{self.name}: pole_shift from {self.pole_shift.min()} to {self.pole_shift.max()}, "
                "must be 1 to 30"
            )
        lowest, highest = -self.pole_shift, MAX_SHIFT - self.pole_shift
        if (self.input_shift < lowest).any() or (self.input_shift > highest).any():
            raise InputError(
                f"{self.name}: input_shift outside [-pole_shift, {MAX_SHIFT} - pole_shift]"
            )
        if (self.readout_shift < 0).any():
            raise InputError(f"{self.name}: negative readout_shift")
        self._check_poles()

    def _check_poles(self) -> None:
        one = np.int64(1) << (2 * self.pole_shift)
        limit = np.int64(1) << self.pole_shift  # beyond it the squares below might overflow
        inside = (np.abs(self.a_re) < limit) & (np.abs(self.a_im) < limit)
        squares = np.where(inside, self.a_re, limit) ** 2 + np.where(inside, self.a_im, 0) ** 2
        outside = squares > one - np.maximum(1, one >> UNDAMPED_LOG2)
        if outside.any():
            h, n = np.argwhere(outside)[0]
            raise InputError(
                f"{self.name}: the pole of channel {h}, mode {n} is outside the unit circle or "
                f"too near to it: |q|^2 may be at most 1 - 2^-{UNDAMPED_LOG2}"
            )

    @cached_property
    def mode_counts(self) -> IntArray:
        """Modes (H) of each channel, without the absent ones behind them."""
        there = (self.pole_shift != ABSENT_SHIFT) | (self.input_shift != -ABSENT_SHIFT)
        for field in (self.a_re, self.a_im, self.c_re, self.c_im):
            there = there | (field != 0)
        last: IntArray = (there * np.arange(1, self.modes + 1)).max(axis=1, initial=0)
        return last

    def stored(self, field: str) -> IntArray:
        """Return the numbers that hardware keeps for a field."""
        return self.stored_poles()[0] if field == "a_re" else super().stored(field)

    def stored_poles(self) -> tuple[IntArray, IntArray]:
        """Return the numbers (H, N) a pole is stored as: itself, or its difference from 1.

        The difference `2^A - a_re` takes the place of `a_re` where it is smaller.
        """
        offset = (np.int64(1) << self.pole_shift) - self.a_re
        return np.where(np.abs(offset) < np.abs(self.a_re), offset, self.a_re), self.a_im

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Advance every mode, and read them out."""
        (u,) = x
        s_re, s_im = f.state("state_re"), f.state("state_im")
        kick = rshift(u, -(f.pole_shift + f.input_shift))
        re = rshift(f.a_re * s_re - f.a_im * s_im + kick, f.pole_shift)
        im = rshift(f.a_re * s_im + f.a_im * s_re, f.pole_shift)
        re = saturated(re, f.state_bits).called("s_re")
        im = saturated(im, f.state_bits).called("s_im")
        readout = over_modes(rshift(f.c_re * re - f.c_im * im, f.readout_shift))
        return Step(readout + rshift(f.d * u, f.d_shift), {"state_re": re, "state_im": im})

    def bounds(self, *inputs: Interval) -> Interval:
        """Bound y by its states' bounds and, where no state can saturate, by its response too."""
        by_mode = super().bounds(*inputs)
        if not self.states_proved(*inputs):
            return by_mode
        by_response = self._bound_by_response(*inputs)
        return Interval(
            np.maximum(by_mode.low, by_response.low), np.minimum(by_mode.high, by_response.high)
        )

    def _bound_by_response(self, u: Interval) -> Interval:
        """Sum the impulse response, and add what rounding can do: in states, products and d u."""
        c = np.asarray(self.c_re + 1j * self.c_im, np.complex128)
        pole = np.asarray(self.a_re + 1j * self.a_im, np.complex128)
        # Summed without readout_shift, which the compiler varies: the sums are computed once.
        sums = response_sums(
            pole * np.exp2(-self.pole_shift.astype(np.float64)),
            c * np.exp2(self.input_shift.astype(np.float64)),
            self.d * np.exp2((self.readout_shift - self.d_shift).astype(np.float64)),
        )
        unit = np.exp2(-self.readout_shift.astype(np.float64))
        positive, negative = (part * unit for part in sums)
        c = c * unit[:, None]
        series = pole_series(self.a_re, self.a_im, self.pole_shift)
        drift = 0.5 * (np.abs(c.real) + np.abs(c.imag)) * (series.re_total + series.im_total)
        slack = drift.sum(axis=1) + 0.5 * self.mode_counts + 1
        low, high = np.minimum(u.low, 0), np.maximum(u.high, 0)
        least = np.maximum(positive * low - negative * high - slack, -(2.0**61))
        most = np.minimum(positive * high - negative * low + slack, 2.0**61)
        return Interval(np.floor(least).astype(np.int64), np.ceil(most).astype(np.int64))

    def state_exponent(self, exponent: IntArray) -> IntArray:
        """Return the input's, and the power of two by which it enters each mode."""
        shifted: IntArray = exponent[:, None] + self.input_shift
        return shifted

    def state_bounds(self, *inputs: Interval) -> dict[str, Reach]:
        """Bound real and imaginary states before saturation, for inputs in `u` and any time.

        The integer recurrence is the exact one plus a rounding error of at most 1/2 in each part
        at each step; both are summed over the pole's series.
        """
        (u,) = inputs
        series = pole_series(self.a_re, self.a_im, self.pole_shift)
        scale = np.exp2(self.input_shift.astype(np.float64))
        low = np.minimum(u.low, 0)[:, None] * scale  # a sample is shorter than the series: 0 too
        high = np.maximum(u.high, 0)[:, None] * scale
        slack = 0.5 * (series.re_total + series.im_total)
        absent = np.arange(self.modes) >= self.mode_counts[:, None]
        if absent.any() and u.largest().max() < 1 << (ABSENT_SHIFT - 1):
            low, high, slack = (np.where(absent, 0.0, part) for part in (low, high, slack))
        return {
            "state_re": _reach(series.re_positive, series.re_negative, low, high, slack),
            "state_im": _reach(series.im_positive, series.im_negative, low, high, slack),
        }


def _reach(
    positive: FloatArray,
    negative: FloatArray,
    low: FloatArray,
    high: FloatArray,
    slack: FloatArray,
) -> Reach:
    most = positive * high - negative * low + slack
    least = positive * low - negative * high - slack
    cap = 2.0**61  # wider than any state; keeps the conversion to integers defined
    return Reach(
        np.floor(np.clip(least, -cap, cap)).astype(np.int64),
        np.ceil(np.clip(most, -cap, cap)).astype(np.int64),
    )
