"""A resonate-and-fire neuron with soft reset, as a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray, freeze
from neurossm.graph.node import FloatWork
from neurossm.graph.soft_reset import SoftResetNode


@dataclass(frozen=True, eq=False)
class ResonateFireNode(SoftResetNode):
    """A complex state z that resonates, and is reset by its own spikes.

    With the old state on the right::

        u  = pole z + gain x
        s  = 1 if Re u > threshold else 0
        z' = u - reset s

    `pole` and `reset` are complex (H). A pole may lie outside the unit circle.
    """

    pole: ComplexArray
    reset: ComplexArray
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(state=4)
    state_names: ClassVar[tuple[str, str]] = ("re", "im")
    in_states: ClassVar[tuple[str, ...]] = ("reset",)

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        for name in ("pole", "reset"):
            freeze(self, name, np.complex128, self.gain.shape)

    def advance(self, states: Mapping[str, FloatArray], driven: FloatArray) -> FloatArray:
        """Return the real part of u; advance z."""
        u = self.pole * (states["re"] + 1j * states["im"]) + driven
        z = u - self.reset * (u.real > self.threshold)
        states["re"][...], states["im"][...] = z.real, z.imag
        compared: FloatArray = u.real
        return compared
