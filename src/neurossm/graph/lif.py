"""A leaky integrator with a threshold and hard reset, as a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.graph.node import FloatWork, Node, PerChannel
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class LIFNode(Node):
    """`v' = decay v + x`; `s = 1 if v' > threshold else 0`, and `v = 0` where it fires, else `v'`.

    `decay` (H) is from 0 to 1, `threshold` is (H); v is 0 when a sample begins.
    """

    decay: PerChannel
    threshold: PerChannel
    time: ClassVar[Literal["any", "needed", "ended"]] = "needed"
    limited: ClassVar[bool] = True
    emits: ClassVar[str] = "spikes"
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(state=1)

    def __post_init__(self) -> None:
        """Check the decay."""
        super().__post_init__()
        if (self.decay < 0).any() or (self.decay > 1).any():
            worst = self.decay[np.abs(self.decay - 0.5).argmax()]
            raise InputError(f"{self.name}: decay {worst:.6g}, must be from 0 to 1")

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (B, L, H) of 0 and 1."""
        return (self._integrated(inputs[0]) > self.threshold).astype(np.float64)

    def _integrated(self, x: FloatArray) -> FloatArray:
        """Return v' (B, L, H), before the reset."""
        v = np.zeros((len(x), x.shape[2]))
        integrated = np.empty(x.shape)
        for t in range(x.shape[1]):
            integrated[:, t] = self.decay * v + x[:, t]
            v = np.where(integrated[:, t] > self.threshold, 0.0, integrated[:, t])
        return integrated

    def margin(self, *inputs: FloatArray) -> FloatArray:
        """Return `|v' - threshold|`."""
        apart: FloatArray = np.abs(self._integrated(inputs[0]) - self.threshold)
        return apart

    def initial_states(self) -> dict[str, FloatArray]:
        """Return v (H) of zero."""
        return {"v": np.zeros(self.decay.shape)}

    def step(self, states: Mapping[str, FloatArray], *inputs: FloatArray) -> FloatArray:
        """Advance v by one step of x (H) and return the spikes (H)."""
        v = self.decay * states["v"] + inputs[0]
        spikes = (v > self.threshold).astype(np.float64)
        states["v"][...] = np.where(v > self.threshold, 0.0, v)
        return spikes

    def bound(self, *inputs: Range) -> Range:
        """0 to 1."""
        low = np.zeros_like(inputs[0].low)
        return Range(low, low + 1)

    def largest_state(self, x: Range) -> FloatArray:
        """Return what |v'| can reach before the reset (H), for inputs in x and any time.

        What is kept is at most the threshold, or 0; below there is no reset, and the sum of the
        decay's powers is infinite for a decay of 1.
        """
        high = self.decay * np.maximum(self.threshold, 0) + np.maximum(x.high, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(x.low < 0, -x.low / (1 - self.decay), 0.0)
        return np.maximum(high, low)
