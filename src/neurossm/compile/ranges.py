"""How large every tensor can get: proved by interval analysis, or seen on calibration data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.graph import Graph, SoftResetNode, SSMNode
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class Ranges:
    """Ranges of all tensors of a graph.

    Parameters
    ----------
    tensors
        By node name.
    states
        Largest `|Re s|` or `|Im s|` (H, N) by SSM name, or the largest states (H, 2) of a neuron
        with soft reset; None for proved scaling, where they follow from the quantised poles.
    """

    tensors: Mapping[str, Range]
    states: Mapping[str, FloatArray] | None


def proved_ranges(graph: Graph) -> Ranges:
    """Bound every tensor for every admissible input of any length, node by node."""
    tensors: dict[str, Range] = {}
    for node in graph.nodes:
        tensors[node.name] = node.bound(*(tensors[name] for name in node.inputs))
    return Ranges(tensors, None)


class RangeObserver:
    """Gathers the ranges of all tensors, and the largest states, seen on data."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = [node.name for node in graph.nodes]
        self.tensors: dict[str, Range] = {}
        self.states: dict[str, FloatArray] = {}

    def add(self, values: dict[str, FloatArray]) -> None:
        """Widen the ranges to what a batch reaches."""
        for node in self.graph.nodes:
            value = values[node.name].reshape(-1, values[node.name].shape[-1])
            seen = Range(value.min(axis=0).astype(float), value.max(axis=0).astype(float))
            self.tensors[node.name] = seen.hull(self.tensors.get(node.name, seen))
            if isinstance(node, SSMNode | SoftResetNode):
                peak = node.largest_states(values[node.inputs[0]])
                self.states[node.name] = np.maximum(self.states.get(node.name, 0.0), peak)

    def ranges(self, headroom_bits: int) -> Ranges:
        """Return the ranges seen, widened by `2**headroom_bits`."""
        factor = 2.0**headroom_bits
        tensors = {name: seen.widened(factor) for name, seen in self.tensors.items()}
        for node in self.graph.nodes:
            if node.limited:
                tensors[node.name] = node.bound(*(tensors[name] for name in node.inputs))
        return Ranges(tensors, {name: peak * factor for name, peak in self.states.items()})
