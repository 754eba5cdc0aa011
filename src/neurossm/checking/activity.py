"""Which spikes never come, and which hardly ever fail to."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.checking.record import Finding, LayerActivity, SpikeActivity
from neurossm.compile.calibration import Calibration, walk
from neurossm.datafile import Data
from neurossm.graph import Graph, Node, ReLUNode
from neurossm.program import Program
from neurossm.progress import Meter, Progress

SATURATED_RATE = 0.99
"""Spikes more frequent than this tell next to nothing."""


class _ActivityCounter:
    """Counts the steps at which each channel is not zero."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = [node for node in graph.nodes if _counted(node)]
        self.names = [node.name for node in self.nodes]
        self.active: dict[str, FloatArray] = {}
        self.steps = 0

    def add(self, values: dict[str, FloatArray]) -> None:
        """Count a batch (B, L, C) of every tensor."""
        for name in self.names:
            flat = values[name].reshape(-1, values[name].shape[-1])
            self.active[name] = self.active.get(name, 0.0) + np.count_nonzero(flat, axis=0)
        self.steps += len(flat)


def _counted(node: Node) -> bool:
    return node.emits == "spikes" or isinstance(node, ReLUNode)


def activity_of(graph: Graph, data: Data, progress: Progress | None = None) -> SpikeActivity | None:
    """Evaluate a float graph on samples and count; None where it has neither spikes nor ReLUs."""
    counter = _ActivityCounter(graph)
    if not counter.names:
        return None
    samples = Calibration.of(graph, data).part
    walk(graph, samples, [counter], Meter(progress, "counting spikes", samples.steps.sum()))
    layers = []
    for node in counter.nodes:
        rates = counter.active[node.name] / counter.steps  # (C)
        full = int((rates > SATURATED_RATE).sum()) if node.emits == "spikes" else 0
        silent = int((rates == 0).sum())
        rate = float(rates.mean())
        layers.append(LayerActivity(node.name, node.layer, rates.size, rate, silent, full))
    return SpikeActivity(len(samples), counter.steps, tuple(layers))


def activity_findings(activity: SpikeActivity) -> list[Finding]:
    """Say which layers and channels are silent or saturated."""
    found = []
    for layer in activity.layers:
        if layer.silent == layer.channels:
            what = f"dead: none of {layer.channels} channels fires in {activity.steps} steps"
            found.append(Finding("silent", layer.tensor, what))
        elif layer.silent:
            what = f"{layer.silent} of {layer.channels} channels never fire"
            found.append(Finding("silent", layer.tensor, what))
        if layer.rate > SATURATED_RATE and layer.saturated:
            what = f"fires in {layer.rate:.2%} of all channels and steps"
            found.append(Finding("saturated", layer.tensor, what))
        elif layer.saturated:
            what = f"{layer.saturated} of {layer.channels} channels fire in over 99 % of the steps"
            found.append(Finding("saturated", layer.tensor, what))
    return found


def saturation_findings(program: Program, data: Data) -> list[Finding]:
    """Run a program whose tensors are not all proved, and say what its limits cut off."""
    samples = Calibration.of(program.graph, data).part
    run = program.run(samples.x, lengths=samples.lengths)
    return [
        Finding(
            "saturated", name, f"{count} values cut off at the limits in {len(samples)} samples"
        )
        for name, count in run.saturations.items()
        if count
    ]
