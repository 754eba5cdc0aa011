"""An adaptive leaky integrator with soft reset: AdLIF, and its constrained and SSM-inspired forms.

Sources: Bittar & Garner 2022 (adLIF); Deckers et al. 2024 (constrained); Fabre et al. 2025
(SiLIF). They differ in how they bound and parametrise the same recurrence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.expression import Expression, Step, greater, rshift, saturated, select
from neurossm.program.fields import State, Symbols, per_channel, scalar
from neurossm.program.soft_reset import Feedback, SoftReset
from neurossm.program.work import Work


@dataclass(frozen=True, eq=False)
class AdLIF(SoftReset):
    """A membrane potential v and an adaptation current w, reset by its own spikes.

    With the old states on the right::

        u  = sat(rshift(decay (v + w), decay_shift) - w + x)
        s  = 1 if u > threshold else 0
        v' = sat(u - reset s)
        w' = sat(rshift(adaptation_decay w + sensitivity u, adaptation_shift) + jump s)

    The output is s. With `alpha = decay / 2^decay_shift` the first line is
    `alpha v - (1 - alpha) w + x`. All fields but `state_bits` are (H); the decays are from 0 to 1,
    `sensitivity` is at most 2 in magnitude, in units of `2^adaptation_shift`. v and w have
    `state_bits` and the exponent of x, and are 0 when a sample begins.
    """

    decay: IntArray = per_channel()
    decay_shift: IntArray = per_channel(shift=True)
    adaptation_decay: IntArray = per_channel()
    sensitivity: IntArray = per_channel()
    adaptation_shift: IntArray = per_channel(shift=True)
    jump: IntArray = per_channel()
    threshold: IntArray = per_channel()
    reset: IntArray = per_channel()
    state_bits: int = scalar()
    states: ClassVar[tuple[State, ...]] = (
        State("state_v", "channel", "state_bits"),
        State("state_w", "channel", "state_bits"),
    )

    def __post_init__(self) -> None:
        """Check decays and widths."""
        super().__post_init__()
        rows = ("decay", "decay_shift"), ("adaptation_decay", "adaptation_shift")
        self.check_range(*rows, ("sensitivity", "adaptation_shift"))
        for name, shift in rows:
            value, by = getattr(self, name), getattr(self, shift)
            if (value < 0).any() or (value > np.int64(1) << by).any():
                raise InputError(f"{self.name}: {name} outside [0, 2^{shift}]")

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Decay and integrate, compare, reset, and adapt."""
        v, w = f.state("state_v"), f.state("state_w")
        u = saturated(rshift(f.decay * (v + w), f.decay_shift) - w + x[0], f.state_bits).called("u")
        spike = greater(u, f.threshold)
        adapted = rshift(f.adaptation_decay * w + f.sensitivity * u, f.adaptation_shift)
        return Step(
            spike,
            {
                "state_v": saturated(u - select(spike, f.reset, 0), f.state_bits),
                "state_w": saturated(adapted + select(spike, f.jump, 0), f.state_bits),
            },
        )

    def feedback(self) -> Feedback:
        """Return the recurrence of (v, w)."""
        one = np.ones(self.out.channels)
        alpha = self.decay * np.exp2(-self.decay_shift.astype(np.float64))
        unit = np.exp2(-self.adaptation_shift.astype(np.float64))
        beta, a = self.adaptation_decay * unit, self.sensitivity * unit
        return adaptive_feedback(alpha, beta, a, self.jump * one, self.reset * one)

    def stored(self, field: str) -> IntArray:
        """Return the numbers that hardware keeps: a decay near 1 as its difference from 1."""
        value = super().stored(field)
        shift = {"decay": self.decay_shift, "adaptation_decay": self.adaptation_shift}.get(field)
        if shift is None:
            return value
        return np.minimum(value, (np.int64(1) << shift) - value)

    def work(self) -> Work:
        """Count its products and sums; it keeps two numbers."""
        return replace(super().work(), state_updates=2)


def adaptive_feedback(
    alpha: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    beta: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    a: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    jump: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    reset: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> Feedback:
    """Return the linear part of `v' = alpha v - (1 - alpha) w + x - reset s` and of w, all (H).

    `w' = beta w + a u + jump s`, where u is v' before the reset.
    """
    matrix = np.stack([alpha, alpha - 1, a * alpha, beta + a * (alpha - 1)], axis=1)
    return Feedback(
        matrix.reshape(-1, 2, 2),
        np.stack([np.ones_like(a), a], axis=1),
        np.stack([-reset, jump], axis=1),
    )
