"""A resonate-and-fire neuron: one complex mode that its own spikes reset.

Sources: Izhikevich 2001; Higuchi et al. 2024; Fabre et al. 2025 (C-SiLIF).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import ComplexArray, IntArray
from neurossm.program.expression import Expression, Step, greater, rshift, saturated, select
from neurossm.program.fields import State, Symbols, per_channel, scalar
from neurossm.program.soft_reset import Feedback, SoftReset


@dataclass(frozen=True, eq=False)
class ResonateFire(SoftReset):
    """A complex state that resonates, and is reset by its own spikes.

    With the old state on the right::

        u_re      = sat(rshift(a_re state_re - a_im state_im, pole_shift) + x)
        u_im      = sat(rshift(a_im state_re + a_re state_im, pole_shift))
        s         = 1 if u_re > threshold else 0
        state_re' = sat(u_re - reset_re s)
        state_im' = sat(u_im - reset_im s)

    The output is s. All fields but `state_bits` are (H). The pole `(a_re + i a_im) / 2^pole_shift`
    may lie outside the unit circle, where the state grows with time and no bound but its width is
    proved. Both parts have `state_bits` and the exponent of x, and are 0 when a sample begins.
    """

    a_re: IntArray = per_channel()
    a_im: IntArray = per_channel()
    pole_shift: IntArray = per_channel(shift=True)
    threshold: IntArray = per_channel()
    reset_re: IntArray = per_channel()
    reset_im: IntArray = per_channel()
    state_bits: int = scalar()
    states: ClassVar[tuple[State, ...]] = (
        State("state_re", "channel", "state_bits"),
        State("state_im", "channel", "state_bits"),
    )

    def __post_init__(self) -> None:
        """Check poles and widths."""
        super().__post_init__()
        self.check_range(("a_re", "pole_shift"), ("a_im", "pole_shift"))

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Turn, drive, compare, and reset."""
        re, im = f.state("state_re"), f.state("state_im")
        turned = rshift(f.a_re * re - f.a_im * im, f.pole_shift)
        u_re = saturated(turned + x[0], f.state_bits).called("u_re")
        turned = rshift(f.a_im * re + f.a_re * im, f.pole_shift)
        u_im = saturated(turned, f.state_bits).called("u_im")
        spike = greater(u_re, f.threshold)
        return Step(
            spike,
            {
                "state_re": saturated(u_re - select(spike, f.reset_re, 0), f.state_bits),
                "state_im": saturated(u_im - select(spike, f.reset_im, 0), f.state_bits),
            },
        )

    def feedback(self) -> Feedback:
        """Return the recurrence of the real and imaginary part."""
        pole = (self.a_re + 1j * self.a_im) * np.exp2(-self.pole_shift.astype(np.float64))
        return resonant_feedback(pole, self.reset_re + 1j * self.reset_im)

    def stored(self, field: str) -> IntArray:
        """Return the numbers that hardware keeps: a real part near 1 as its difference from 1."""
        value = super().stored(field)
        if field != "a_re":
            return value
        offset = (np.int64(1) << self.pole_shift) - value
        return np.where(np.abs(offset) < np.abs(value), offset, value)


def resonant_feedback(pole: ComplexArray, reset: ComplexArray) -> Feedback:
    """Return the linear part of `z' = pole z + x - reset s`, both (H)."""
    matrix = np.stack([pole.real, -pole.imag, pole.imag, pole.real], axis=1).reshape(-1, 2, 2)
    drive = np.stack([np.ones(len(pole)), np.zeros(len(pole))], axis=1)
    return Feedback(matrix, drive, -np.stack([reset.real, reset.imag], axis=1))
