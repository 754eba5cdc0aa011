"""The diagonal state-space model as a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray, freeze
from neurossm.errors import InputError
from neurossm.graph.node import FloatWork, Node
from neurossm.graph.range import Range
from neurossm.graph.recurrence import impulse_response, largest_states, outputs, states

_KERNEL_STEPS = 4096
"""The kernel is summed exactly over so many steps; the rest is bounded mode by mode."""
_MACS_PER_MODE = 6
"""Real multiply-accumulates of `A s` (4) and of `Re(C s)` (2); B is folded into C."""


@dataclass(frozen=True, eq=False)
class SSMNode(Node):
    """Diagonal state-space model, discretised.

    `s_t = A_bar s_{t-1} + B_bar u_t`, `y_t = 2 Re(sum_n C_n s_{t,n}) + D u_t`, `s_{-1} = 0`,
    with `A_bar`, `B_bar`, `C` complex (H, N) and `D` (H). Stable: every `|A_bar| < 1`.
    """

    A_bar: ComplexArray
    B_bar: ComplexArray
    C: ComplexArray
    D: FloatArray
    time: ClassVar[Literal["any", "needed", "ended"]] = "needed"

    def __post_init__(self) -> None:
        """Check shapes and stability."""
        super().__post_init__()
        freeze(self, "A_bar", np.complex128, (None, None))
        for field in ("B_bar", "C"):
            freeze(self, field, np.complex128, self.A_bar.shape)
        freeze(self, "D", np.float64, self.A_bar.shape[:1])
        radius = np.abs(self.A_bar)
        if (radius >= 1).any():
            h, n = np.unravel_index(int(radius.argmax()), radius.shape)
            raise InputError(
                f"{self.name}: pole of channel {h}, mode {n} has |A_bar| = {radius[h, n]:.9g}; "
                "a stable SSM needs |A_bar| < 1"
            )

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], self.A_bar.shape[0])
        return sizes[0]

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (B, L, H); the states of each sample begin at zero."""
        return outputs(self.A_bar, self._readout, self.D, inputs[0])

    def initial_states(self) -> dict[str, FloatArray]:
        """Return real and imaginary states (H, N) of zero, not multiplied by `B_bar`."""
        return {name: np.zeros(self.A_bar.shape) for name in ("state_re", "state_im")}

    def step(self, states: Mapping[str, FloatArray], *inputs: FloatArray) -> FloatArray:
        """Advance the states by one step of u (H) and return y (H)."""
        (u,) = inputs
        s = self.A_bar * (states["state_re"] + 1j * states["state_im"]) + u[:, None]
        states["state_re"][...], states["state_im"][...] = s.real, s.imag
        y: FloatArray = (self._readout * s).real.sum(axis=1) + self.D * u
        return y

    @cached_property
    def _readout(self) -> ComplexArray:
        """Weights of the states that the input enters unmultiplied, (H, N)."""
        readout: ComplexArray = 2 * self.C * self.B_bar
        return readout

    def kernel(self, length: int) -> FloatArray:
        """Return the impulse response without D, `2 Re(sum C B_bar A_bar^t)`, (H, length)."""
        rows = zip(self.A_bar, self._readout, strict=True)
        return np.stack([impulse_response(pole, weight, length) for pole, weight in rows])

    def states(self, u: FloatArray) -> ComplexArray:
        """Return the states of inputs u (B, L, H), not multiplied by `B_bar`: (B, L, H, N).

        They are those of `s_t = A_bar s_{t-1} + u_t`, as in the integer program; times `B_bar` they
        are those of the equation above.
        """
        return states(self.A_bar, u)

    def largest_states(self, u: FloatArray) -> FloatArray:
        """Return the largest `|Re s|` or `|Im s|` (H, N) over samples and steps of u (B, L, H).

        `s` is that of the equation above, multiplied by `B_bar`.
        """
        return largest_states(self.A_bar, self.B_bar, u)

    def bound(self, *inputs: Range) -> Range:
        """Sum the kernel's positive and negative parts, and the poles' series beyond its length."""
        (u,) = inputs
        kernel = self.kernel(_KERNEL_STEPS)
        kernel[:, 0] += self.D
        radius = np.abs(self.A_bar)
        rest = np.abs(self._readout) * radius**_KERNEL_STEPS / (1 - radius)
        tail = rest.sum(axis=1) * u.largest()
        low, high = np.minimum(u.low, 0), np.maximum(u.high, 0)  # before the first step u is 0
        positive = np.maximum(kernel, 0).sum(axis=1)
        negative = np.maximum(-kernel, 0).sum(axis=1)
        return Range(
            positive * low - negative * high - tail, positive * high - negative * low + tail
        )

    def work(self, channels: int) -> FloatWork:
        """Recurrence and readout of every mode, and the direct path."""
        there = np.count_nonzero(self._readout)  # a weight of 0: a mode that is absent
        return FloatWork(state=_MACS_PER_MODE * there + self.D.size)
