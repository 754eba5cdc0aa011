"""The fixed-point SSM neuron: a diagonal complex state-space model in integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import MAX_SHIFT, Tally, limits, rshift, saturate
from neurossm.program.op import Op, State, check_exact, freeze_integers, freeze_shifts
from neurossm.program.pole_series import pole_series
from neurossm.program.response import response_sums
from neurossm.program.tensor import Interval

UNDAMPED_LOG2 = 24
"""Poles obey `|q|**2 <= 1 - 2**-24`, so that the sums over their powers stay within reach."""


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
    """

    a_re: IntArray
    a_im: IntArray
    pole_shift: IntArray
    input_shift: IntArray
    c_re: IntArray
    c_im: IntArray
    readout_shift: IntArray
    d: IntArray
    d_shift: IntArray
    state_bits: int

    def __post_init__(self) -> None:
        """Check shapes, shifts, widths and that every pole is stable."""
        super().__post_init__()
        if not 2 <= self.state_bits <= 40:
            raise InputError(f"{self.name}: state_bits {self.state_bits}, must be 2 to 40")
        freeze_integers(self, "a_re", (self.out.channels, None))
        for field in ("a_im", "c_re", "c_im"):
            freeze_integers(self, field, self.a_re.shape)
        if np.ndim(self.pole_shift) == 0:
            object.__setattr__(self, "pole_shift", np.full(self.a_re.shape, self.pole_shift))
        freeze_shifts(self, "pole_shift", self.a_re.shape)
        if (self.pole_shift < 1).any() or (self.pole_shift > 30).any():
            raise InputError(
                f"{self.name}: pole_shift from {self.pole_shift.min()} to {self.pole_shift.max()}, "
                "must be 1 to 30"
            )
        freeze_shifts(self, "input_shift", self.a_re.shape)
        freeze_integers(self, "d", (self.out.channels,))
        for field in ("readout_shift", "d_shift"):
            freeze_shifts(self, field, (self.out.channels,))
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

    @property
    def modes(self) -> int:
        """Number of complex modes per channel, N."""
        return self.a_re.shape[1]

    def stored_poles(self) -> tuple[IntArray, IntArray]:
        """Return the numbers (H, N) a pole is stored as: itself, or its difference from 1.

        The difference `2^A - a_re` takes the place of `a_re` where it is smaller.
        """
        offset = (np.int64(1) << self.pole_shift) - self.a_re
        return np.where(np.abs(offset) < np.abs(self.a_re), offset, self.a_re), self.a_im

    def start(self, batch: int) -> State:
        """Return zero states, (B, H, N) each."""
        return {part: np.zeros((batch, *self.a_re.shape), np.int64) for part in ("re", "im")}

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, H) to (B, H) and the next states (B, H, N)."""
        (u,) = inputs
        s_re, s_im = state["re"], state["im"]
        kick = u[:, :, None] << (self.pole_shift + self.input_shift)  # (B, H, N)
        re = rshift(self.a_re * s_re - self.a_im * s_im + kick, self.pole_shift)
        im = rshift(self.a_re * s_im + self.a_im * s_re, self.pole_shift)
        s_re = saturate(re, self.state_bits, tally, f"{self.name}.state")
        s_im = saturate(im, self.state_bits, tally, f"{self.name}.state")
        readout = rshift(self.c_re * s_re - self.c_im * s_im, self.readout_shift[:, None])
        y = readout.sum(axis=2) + rshift(self.d * u, self.d_shift)
        return {"re": s_re, "im": s_im}, saturate(y, self.out.bits, tally, self.name)

    def bounds(self, *inputs: Interval) -> Interval:
        """Bound y by its states' bounds and, where no state can saturate, by its response too."""
        (u,) = inputs
        re, im = self.state_bounds(u)
        self._check_products(u)
        by_mode = self._bound_by_mode(re.clipped(self.state_bits), im.clipped(self.state_bits), u)
        if not (re.within(self.state_bits) and im.within(self.state_bits)):
            return by_mode
        by_response = self._bound_by_response(u)
        return Interval(
            np.maximum(by_mode.low, by_response.low), np.minimum(by_mode.high, by_response.high)
        )

    def _bound_by_mode(self, re: ModeInterval, im: ModeInterval, u: Interval) -> Interval:
        low, high = self._readout_range(re, im)
        ends = rshift(np.stack([self.d * u.low, self.d * u.high]), self.d_shift)
        return Interval(
            low.sum(axis=1) + ends.min(axis=0),
            high.sum(axis=1) + ends.max(axis=0),
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
        slack = drift.sum(axis=1) + 0.5 * self.modes + 1
        low, high = np.minimum(u.low, 0), np.maximum(u.high, 0)
        least = np.maximum(positive * low - negative * high - slack, -(2.0**61))
        most = np.minimum(positive * high - negative * low + slack, 2.0**61)
        return Interval(np.floor(least).astype(np.int64), np.ceil(most).astype(np.int64))

    def _readout_range(self, re: ModeInterval, im: ModeInterval) -> tuple[IntArray, IntArray]:
        with_re = np.stack([self.c_re * re.low, self.c_re * re.high])
        with_im = np.stack([-self.c_im * im.low, -self.c_im * im.high])
        shift = self.readout_shift[:, None]
        low = rshift(with_re.min(axis=0) + with_im.min(axis=0), shift)
        high = rshift(with_re.max(axis=0) + with_im.max(axis=0), shift)
        return low, high

    def state_bounds(self, u: Interval) -> tuple[ModeInterval, ModeInterval]:
        """Bound real and imaginary states before saturation, for inputs in `u` and any time.

        The integer recurrence is the exact one plus a rounding error of at most 1/2 in each part
        at each step; both are summed over the pole's series.
        """
        series = pole_series(self.a_re, self.a_im, self.pole_shift)
        scale = np.exp2(self.input_shift.astype(np.float64))
        low = np.minimum(u.low, 0)[:, None] * scale  # a sample is shorter than the series: 0 too
        high = np.maximum(u.high, 0)[:, None] * scale
        slack = 0.5 * (series.re_total + series.im_total)
        return (
            _mode_interval(series.re_positive, series.re_negative, low, high, slack),
            _mode_interval(series.im_positive, series.im_negative, low, high, slack),
        )

    def states_proved(self, u: Interval) -> bool:
        """Tell whether no state can saturate for inputs in `u`."""
        return all(part.within(self.state_bits) for part in self.state_bounds(u))

    def _check_products(self, u: Interval) -> None:
        limit = -float(limits(self.state_bits)[0])
        largest = u.largest().astype(np.float64)
        poles = (np.abs(self.a_re) + np.abs(self.a_im)) * limit
        kick = largest[:, None] * np.exp2((self.pole_shift + self.input_shift).astype(float))
        check_exact(self.name, "a * s + u", poles + kick)
        modes = (np.abs(self.c_re).astype(float) + np.abs(self.c_im)) * limit
        direct = np.abs(self.d) * largest * np.exp2(np.maximum(-self.d_shift, 0))
        check_exact(self.name, "sum of c * s + d * u", modes.sum(axis=1) + direct)


@dataclass(frozen=True, eq=False)
class ModeInterval:
    """Bounds per channel and mode, (H, N) integers."""

    low: IntArray
    high: IntArray

    def within(self, bits: int) -> bool:
        """Tell whether every integer fits so many bits."""
        low, high = limits(bits)
        return bool((self.low >= low).all() and (self.high <= high).all())

    def clipped(self, bits: int) -> ModeInterval:
        """Return the bounds after saturation."""
        low, high = limits(bits)
        return ModeInterval(np.clip(self.low, low, high), np.clip(self.high, low, high))


def _mode_interval(
    positive: FloatArray,
    negative: FloatArray,
    low: FloatArray,
    high: FloatArray,
    slack: FloatArray,
) -> ModeInterval:
    most = positive * high - negative * low + slack
    least = positive * low - negative * high - slack
    cap = 2.0**61  # wider than any state; keeps the conversion to integers defined
    return ModeInterval(
        np.floor(np.clip(least, -cap, cap)).astype(np.int64),
        np.ceil(np.clip(most, -cap, cap)).astype(np.int64),
    )
