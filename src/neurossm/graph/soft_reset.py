"""What spiking neurons with soft reset have in common, as nodes: their walk through time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeVar

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.graph.node import Node, PerChannel
from neurossm.graph.range import Range

Neuron = TypeVar("Neuron", bound="SoftResetNode")


@dataclass(frozen=True, eq=False)
class SoftResetNode(Node):
    """A neuron of two states per channel, which reads `gain x` and spikes above `threshold` (H).

    A subclass says how the states advance; they are 0 when a sample begins.
    """

    gain: PerChannel
    threshold: PerChannel
    time: ClassVar[Literal["any", "needed", "ended"]] = "needed"
    limited: ClassVar[bool] = True
    emits: ClassVar[str] = "spikes"
    state_names: ClassVar[tuple[str, str]]
    in_states: ClassVar[tuple[str, ...]]
    """Fields that are added to states."""

    @abstractmethod
    def advance(self, states: Mapping[str, FloatArray], driven: FloatArray) -> FloatArray:
        """Advance states (..., H) in place by one step of `gain x`; return what is compared."""

    def without_gain(self: Neuron) -> Neuron:
        """Return the neuron of the same spikes whose states are divided by the gain's magnitude.

        What is left of the gain is its sign.
        """
        size = np.where(self.gain == 0, 1.0, np.abs(self.gain))
        scaled = {name: getattr(self, name) / size for name in ("threshold", *self.in_states)}
        return replace(self, gain=self.gain / size, **scaled)

    def initial_states(self) -> dict[str, FloatArray]:
        """Return both states (H), zero."""
        return {name: np.zeros(self.gain.shape) for name in self.state_names}

    def step(self, states: Mapping[str, FloatArray], *inputs: FloatArray) -> FloatArray:
        """Advance by one step of x (H) and return the spikes (H)."""
        return (self.advance(states, self.gain * inputs[0]) > self.threshold).astype(np.float64)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (B, L, H) of 0 and 1."""
        return (self._compared(inputs[0]) > self.threshold).astype(np.float64)

    def margin(self, *inputs: FloatArray) -> FloatArray:
        """Return how far what is compared is from the threshold."""
        apart: FloatArray = np.abs(self._compared(inputs[0]) - self.threshold)
        return apart

    def largest_states(self, x: FloatArray) -> FloatArray:
        """Return the largest magnitudes of the states (H, 2), before and after resets, on x."""
        most = np.zeros((*self.gain.shape, 2))
        for states, compared in self._walk(x):
            for i, name in enumerate(self.state_names):
                most[:, i] = np.maximum(most[:, i], np.abs(states[name]).max(axis=0))
            most[:, 0] = np.maximum(most[:, 0], np.abs(compared).max(axis=0))
        return most

    def bound(self, *inputs: Range) -> Range:
        """0 to 1."""
        low = np.zeros_like(inputs[0].low)
        return Range(low, low + 1)

    def _compared(self, x: FloatArray) -> FloatArray:
        return np.stack([compared for _, compared in self._walk(x)], axis=1)

    def _walk(self, x: FloatArray) -> Iterator[tuple[Mapping[str, FloatArray], FloatArray]]:
        states = {name: np.zeros((len(x), *self.gain.shape)) for name in self.state_names}
        for t in range(x.shape[1]):
            yield states, self.advance(states, self.gain * x[:, t])
