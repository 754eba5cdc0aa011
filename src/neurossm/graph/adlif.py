"""An adaptive leaky integrator with soft reset, as a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.graph.node import FloatWork, PerChannel
from neurossm.graph.soft_reset import SoftResetNode


@dataclass(frozen=True, eq=False)
class AdLIFNode(SoftResetNode):
    """A membrane potential v and an adaptation current w, reset by its own spikes.

    With the old states on the right::

        u  = decay v - (1 - decay) w + gain x
        s  = 1 if u > threshold else 0
        v' = u - reset s
        w' = adaptation_decay w + sensitivity u + jump s

    All fields are (H), the decays from 0 to 1. With `gain = 1 - decay` this is adLIF, constrained
    AdLIF and SiLIF; without `sensitivity` and `jump`, a LIF with soft reset.
    """

    decay: PerChannel
    adaptation_decay: PerChannel
    sensitivity: PerChannel
    jump: PerChannel
    reset: PerChannel
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(state=4)
    state_names: ClassVar[tuple[str, str]] = ("v", "w")
    in_states: ClassVar[tuple[str, ...]] = ("jump", "reset")

    def __post_init__(self) -> None:
        """Check the decays."""
        super().__post_init__()
        for name in ("decay", "adaptation_decay"):
            value = getattr(self, name)
            if (value < 0).any() or (value > 1).any():
                worst = value[np.abs(value - 0.5).argmax()]
                raise InputError(f"{self.name}: {name} {worst:.6g}, must be from 0 to 1")

    def advance(self, states: Mapping[str, FloatArray], driven: FloatArray) -> FloatArray:
        """Return u; advance v and w."""
        v, w = states["v"], states["w"]
        u = self.decay * v - (1 - self.decay) * w + driven
        s = u > self.threshold
        v[...] = u - self.reset * s
        w[...] = self.adaptation_decay * w + self.sensitivity * u + self.jump * s
        return u
