"""Replace a GSU's dynamic thresholds by static ones, calibrated on data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.graph import Graph, Node, Ternary
from neurossm.graph.data import batches
from neurossm.graph.evaluate import evaluate
from neurossm.program.program import Approximation


def freeze_thresholds(
    graph: Graph, scale: float, data: NDArray[np.generic] | None
) -> tuple[Graph, tuple[Approximation, ...]]:
    """Give every dynamic `Ternary` the static threshold `scale * mean_t(factor * max_h |x_h|)`.

    The mean is over all samples and steps of `data`, as the unchanged network computes them. The
    error of the approximation is the largest difference between the two thresholds seen there;
    its description says how many spikes of the first samples it changes, all else being equal.

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
    seen, magnitudes = _thresholds(graph, dynamic, data)
    channels = graph.channels()
    frozen: dict[str, Node] = {}
    approximations = []
    for node in dynamic:
        values = seen[node.name]
        static = scale * float(values.mean())
        frozen[node.name] = replace(node, threshold=np.full(channels[node.name], static))
        approximations.append(
            Approximation(
                f"{node.name}.threshold",
                f"static threshold {static:.4g}: {scale:g} times the mean of the dynamic one over "
                f"{len(data)} samples, where it spans {values.min():.3g} to {values.max():.3g}; "
                f"{_changed(node, magnitudes[node.name], static):.2%} of the spikes change",
                float(np.abs(values - static).max()),
            )
        )
    nodes = (frozen.get(node.name, node) for node in graph.nodes)
    return graph.with_nodes(nodes), tuple(approximations)


def _changed(node: Ternary, magnitude: FloatArray, static: float) -> float:
    """Return the share of spikes that `static` changes; their signs stay in any case."""
    dynamic = node.factor * magnitude.max(axis=-1, keepdims=True)
    return float(np.mean((magnitude > dynamic) != (magnitude > static)))


def _thresholds(
    graph: Graph, dynamic: list[Ternary], data: NDArray[np.generic]
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return by name the dynamic thresholds of every step, flat, and |x| of the first batch."""
    parts: dict[str, list[FloatArray]] = {node.name: [] for node in dynamic}
    first: dict[str, FloatArray] = {}
    for batch in batches(graph.input, data, "calibration data"):
        values = evaluate(graph, batch, [node.inputs[0] for node in dynamic])
        for node in dynamic:
            magnitude = np.abs(values[node.inputs[0]])  # (B, L, H)
            first.setdefault(node.name, magnitude)
            parts[node.name].append(node.factor * magnitude.max(axis=-1).ravel())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}, first
