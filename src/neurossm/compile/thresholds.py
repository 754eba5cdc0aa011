"""Replace a GSU's dynamic thresholds by static ones, calibrated on data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.graph import Graph, Node, Ternary
from neurossm.graph.data import batches
from neurossm.graph.evaluate import evaluate
from neurossm.program.program import Approximation

_SCALES = np.geomspace(4.0, 0.25, 81)
"""Multiples of a dynamic threshold's mean that are tried, 3.5 % apart."""
_STEPS = 20_000
"""About so many time steps are kept to count the spikes that change."""


def freeze_thresholds(
    graph: Graph, scale: float | None, data: NDArray[np.generic] | None
) -> tuple[Graph, tuple[Approximation, ...]]:
    """Give every dynamic `Ternary` a static threshold, ``scale * mean_t(factor * max_h |x_h|)``.

    The mean is over all samples and steps of `data`, as the unchanged network computes them. The
    error of the approximation is the largest difference between the two thresholds seen there;
    its description says how many of the layer's spikes change, all else being equal.

    Parameters
    ----------
    graph
        A network.
    scale
        None: for each layer the one that changes the fewest spikes.
    data
        Raw input samples.

    Raises
    ------
    InputError
        There is a dynamic threshold and no data.
    """
    dynamic = [node for node in graph.nodes if isinstance(node, Ternary) and node.threshold is None]
    if not dynamic:
        return graph, ()
    if data is None:
        raise InputError(
            f"{dynamic[0].name}: the threshold follows the largest activation of each step, which "
            "spiking cores do not compute; give --calibration DATA.npz to make it a static one"
        )
    seen = _look(graph, dynamic, data)
    channels = graph.channels()
    frozen: dict[str, Node] = {}
    approximations = []
    for node in dynamic:
        layer = seen[node.name]
        factor = layer.best_scale() if scale is None else scale
        static = factor * layer.mean
        frozen[node.name] = replace(node, threshold=np.full(channels[node.name], static))
        approximations.append(
            Approximation(
                f"{node.name}.threshold",
                f"static threshold {static:.4g}: {factor:.3g} times the mean of the dynamic one "
                f"over {len(data)} samples, where it spans {layer.low:.3g} to {layer.high:.3g}; "
                f"{layer.changed(static):.2%} of the spikes change",
                max(abs(static - layer.low), abs(static - layer.high)),
            )
        )
    nodes = (frozen.get(node.name, node) for node in graph.nodes)
    return graph.with_nodes(nodes), tuple(approximations)


@dataclass
class _Seen:
    """A dynamic threshold on data: its mean and extremes over all steps, and |x| of some steps."""

    factor: float
    steps: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = 0.0
    kept: list[FloatArray] = field(default_factory=list)

    def add(self, magnitude: FloatArray, every: int) -> None:
        """Add |x| (B, L, H), and keep that of one step in so many."""
        thresholds = self.factor * magnitude.max(axis=-1)
        self.steps += thresholds.size
        self.total += float(thresholds.sum())
        self.low = min(self.low, float(thresholds.min()))
        self.high = max(self.high, float(thresholds.max()))
        self.kept.append(magnitude.reshape(-1, magnitude.shape[-1])[::every].copy())

    @property
    def mean(self) -> float:
        return self.total / self.steps

    def changed(self, static: float) -> float:
        """Return the share of spikes that a static threshold changes; no sign ever does."""
        return float(self.changes(np.array([static]))[0])

    def changes(self, static: FloatArray) -> FloatArray:
        """Return that share for several thresholds."""
        magnitude = np.concatenate(self.kept)  # (steps, H)
        spikes = magnitude > self.factor * magnitude.max(axis=-1, keepdims=True)
        return np.array([np.mean(spikes != (magnitude > value)) for value in static])

    def best_scale(self) -> float:
        """Return the multiple of the mean that changes the fewest spikes; of several, the largest.

        A larger threshold means fewer spikes.
        """
        return float(_SCALES[int(self.changes(_SCALES * self.mean).argmin())])


def _look(graph: Graph, dynamic: list[Ternary], data: NDArray[np.generic]) -> dict[str, _Seen]:
    seen = {node.name: _Seen(node.factor) for node in dynamic}
    for batch in batches(graph.input, data, "calibration data"):
        every = -(-len(data) * batch.shape[1] // _STEPS)
        values = evaluate(graph, batch, [node.inputs[0] for node in dynamic])
        for node in dynamic:
            seen[node.name].add(np.abs(values[node.inputs[0]]), every)
    return seen
