"""Replace a GSU's dynamic thresholds by static ones, calibrated on data.

`T_d(y)` with `d(t) = factor * max_h |y_h(t)|` becomes `T_d(y)` with one `d` per layer. That cannot
give the same spikes. What can be had is that they still tell the next layer what it needs, and that
the change does not add up from layer to layer. So the layers are taken in order, each on what the
layers replaced before it give:

1. **Threshold.** Let `f` be what the trained network computes from this layer's spikes (the output
   of the `Linear` that reads them), and `s_d` the spikes that a static `d` would give. Of all `d`,
   take the one whose spikes leave the least of `f` unexplained, by the best linear map:
   `min over V, c of sum_t w(t) |f(t) - V s_d(t) - c|^2`. The map only judges; no weight changes.
   `w` is what a step counts: how strongly the layer's normalised product depends on `f` there,
   `mean_h g_h^2 / var_h(f g)` with the other factor `g`. Counting changed spikes instead weighs
   all alike, whether anything depends on them or not.
2. **Norms.** Every BatchNorm behind it gets the mean and the variance that make its output have
   the trained network's, channel by channel, over the calibration data.

Neither needs labels or gradients.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.compile.calibration import Observer
from neurossm.compile.frontier import Frontier, Watched
from neurossm.compile.norm_statistics import restored
from neurossm.compile.threshold_choice import best_scale
from neurossm.errors import InputError
from neurossm.graph import (
    BatchNormNode,
    Graph,
    LayerNormNode,
    LinearNode,
    Node,
    ProductNode,
    TernaryNode,
)
from neurossm.graph.sequences import Sequences
from neurossm.naming import part_of
from neurossm.program.program import Approximation


def freeze_thresholds(
    graph: Graph,
    scale: float | None,
    data: Sequences | None,
    approximated: Graph | None = None,
    observer: Observer | None = None,
) -> tuple[Graph, tuple[Approximation, ...]]:
    """Give every dynamic `Ternary` a static threshold, and the norms behind it new statistics.

    The error of a threshold's approximation is the largest difference between the static and the
    dynamic one on `data`; its description says how many of the layer's spikes are others than the
    trained network's, with the layers before it replaced, too.

    Parameters
    ----------
    graph
        A network as it was trained, BatchNorm not yet folded.
    scale
        Static thresholds as a multiple of the dynamic ones' means; None chooses it layer by layer.
    data
        Checked samples: so many that a few tensors of all fit memory.
    approximated
        The network to replace thresholds in, node for node, with functions replaced already; by
        default the same one.
    observer
        Sees tensors of the graph that is returned.

    Raises
    ------
    InputError
        There is a dynamic threshold and no data, or a scale and no dynamic threshold.
    """
    dynamic = [node for node in graph.nodes if _is_dynamic(node)]
    if not dynamic:
        if scale is not None:
            raise InputError(
                f"threshold_scale = {scale:g}: this model has no dynamic threshold to replace; "
                "leave it out (--threshold-scale)"
            )
        return approximated or graph, ()
    if data is None:
        raise InputError(
            f"{dynamic[0].name}: the threshold follows the largest activation of each step, which "
            "spiking cores do not compute; give --calibration DATA.npz to make it a static one, or "
            "compile for a target with a channel maximum (see `neurossm targets`), such as cpu"
        )
    trained = _watch_trained(graph, dynamic, data)
    return _replaced(approximated or graph, trained, Frontier(graph, data), scale, observer)


def _watch_trained(graph: Graph, dynamic: list[Node], data: Sequences) -> dict[str, Watched]:
    """Return what is to know of the trained network, by tensor."""
    scaled = {node.inputs[0] for node in graph.nodes if isinstance(node, BatchNormNode)}
    judged = {node.inputs[0] for node in dynamic}
    for node in dynamic:
        product = _gate(graph, node)[1]
        judged |= set() if product is None else set(product.inputs)
    trained, seen = Frontier(graph, data), {}
    for node in graph.nodes:
        trained.take(node)
        if node.name in scaled | judged:
            seen[node.name] = trained.watch(
                node.name, moments=node.name in scaled, steps=node.name in judged
            )
        if scaled | judged <= seen.keys():
            break
    return seen


def _replaced(
    graph: Graph,
    trained: dict[str, Watched],
    now: Frontier,
    scale: float | None,
    observer: Observer | None,
) -> tuple[Graph, tuple[Approximation, ...]]:
    """Replace thresholds and norms in order, each on what those replaced before it give."""
    nodes: list[Node] = []
    approximations: list[Approximation] = []
    changed: set[str] = set()  # what depends on a static threshold
    observed = set() if observer is None else set(observer.names)
    last = max(
        i
        for i, node in enumerate(graph.nodes)
        if _is_dynamic(node) or isinstance(node, BatchNormNode) or node.name in observed
    )
    for node in graph.nodes:
        new, source = node, node.inputs[0] if node.inputs else ""
        behind = not changed.isdisjoint(node.inputs)
        if isinstance(node, BatchNormNode) and behind:
            moments = now.watch(source, moments=True).moments
            new, approximation = restored(node, trained[source].moments, moments, now.samples)
            approximations.append(approximation)
        elif _is_dynamic(node):
            y = now.watch(source, steps=True).values if behind else trained[source].values
            new, approximation = _frozen(graph, node.name, trained, y, scale, now.samples)
            approximations.append(approximation)
        if behind or new is not node:
            changed.add(node.name)
        if len(nodes) <= last:
            now.take(new)
        if observer is not None and node.name in observed:
            for piece in now.pieces(node.name):
                observer.add({node.name: piece})
        nodes.append(new)
    return graph.with_nodes(nodes), tuple(approximations)


def _is_dynamic(node: Node) -> bool:
    return isinstance(node, TernaryNode) and node.threshold is None


def _frozen(
    graph: Graph,
    name: str,
    trained: dict[str, Watched],
    y: FloatArray,
    scale: float | None,
    samples: int,
) -> tuple[TernaryNode, Approximation]:
    """Return a node with a static threshold; `y` is its input, with those before it replaced."""
    node = graph[name]
    assert isinstance(node, TernaryNode)
    before = trained[node.inputs[0]]
    dynamic = node.factor * np.concatenate(before.largest)
    mean = float(dynamic.mean())
    spikes = node.apply(before.values)
    if scale is None:
        target, weight = _meaning(graph, node, spikes, trained)
        scale = best_scale(target, weight, y, mean)
    static = replace(node, threshold=np.full(y.shape[-1], scale * mean))
    changed = np.mean(static.apply(y) != spikes)
    low, high = dynamic.min(), dynamic.max()
    return static, Approximation(
        part_of(node.name, "threshold"),
        f"static threshold {scale * mean:.4g}: {scale:.3g} times the mean of the dynamic one "
        f"over {samples} samples, where it spans {low:.3g} to {high:.3g}; {changed:.2%} of the "
        "spikes change",
        float(max(abs(scale * mean - low), abs(scale * mean - high))),
    )


def _gate(graph: Graph, spikes: Node) -> tuple[LinearNode | None, ProductNode | None]:
    """Return the weights that read the spikes, and the product that their output goes into."""
    linear = [node for node in graph.readers(spikes.name) if isinstance(node, LinearNode)]
    if not linear:
        return None, None
    products = [node for node in graph.readers(linear[0].name) if isinstance(node, ProductNode)]
    return linear[0], products[0] if products else None


def _meaning(
    graph: Graph, node: Node, spikes: FloatArray, trained: dict[str, Watched]
) -> tuple[FloatArray, FloatArray]:
    """Return what spikes (steps, H) become, (steps, O), and how much each step counts, (steps)."""
    linear, product = _gate(graph, node)
    target = spikes if linear is None else linear.apply(spikes)
    if linear is None or product is None:
        return target, np.ones(len(target))
    factors = [trained[name].values for name in product.inputs if name != linear.name]
    factor = factors[0] if factors else target
    weight: FloatArray = np.mean(factor**2, axis=-1)
    for norm in graph.readers(product.name):
        if isinstance(norm, LayerNormNode):
            weight = weight / (np.var(target * factor, axis=-1) + norm.eps)
    return target, weight if weight.any() else np.ones(len(target))
