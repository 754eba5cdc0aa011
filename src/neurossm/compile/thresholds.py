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

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray
from neurossm.compile.calibration import Observer
from neurossm.compile.norm_statistics import Moments, restored
from neurossm.errors import InputError
from neurossm.graph import (
    BatchNormNode,
    Graph,
    InputNode,
    LayerNormNode,
    LinearNode,
    Node,
    ProductNode,
    TernaryNode,
)
from neurossm.graph.data import Sequences
from neurossm.naming import part_of
from neurossm.program.program import Approximation
from neurossm.threads import in_threads

_SCALES = np.geomspace(4.0, 0.25, 33)
"""Multiples of a dynamic threshold's mean that are tried, 9 % apart."""
_STEPS = 8_000
"""About so many time steps are kept to judge thresholds."""
_FIRST_STEPS = 2_000
"""About so many of them judge all thresholds; all judge those near the best."""
_NEAR = 2
"""So many thresholds to either side are near."""
_PIECE_VALUES = 100_000
"""Samples are evaluated in pieces of about this many values per tensor, a thread each."""
_DAMPING = 1e-3
"""Share of the mean variance added to every spike's own: keeps rare spikes from explaining much."""


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
    return _replaced(approximated or graph, trained, _Frontier(graph, data), scale, observer)


def _watch_trained(graph: Graph, dynamic: list[Node], data: Sequences) -> dict[str, _Watched]:
    """Return what is to know of the trained network, by tensor."""
    scaled = {node.inputs[0] for node in graph.nodes if isinstance(node, BatchNormNode)}
    judged = {node.inputs[0] for node in dynamic}
    for node in dynamic:
        product = _gate(graph, node)[1]
        judged |= set() if product is None else set(product.inputs)
    trained, seen = _Frontier(graph, data), {}
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
    trained: dict[str, _Watched],
    now: _Frontier,
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


class _Frontier:
    """Evaluates a graph node by node on all data, and keeps what nodes to come read.

    Tensors are lists of pieces of a few samples: small ones, for which the system need not be
    asked for memory.
    """

    def __init__(self, graph: Graph, data: Sequences) -> None:
        self.samples = len(data)
        self._last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
        longest = data.x.shape[1]
        group = max(1, _PIECE_VALUES // (longest * max(graph.channels().values())))
        self._data = [x for _, x in data.whole(group)]
        self._every = _every(int(data.steps.sum()), longest)
        self._values: dict[str, list[FloatArray]] = {}

    def take(self, node: Node) -> None:
        """Compute the next node's tensor; the node may be another than the graph's."""
        known = [self._values[name] for name in node.inputs]
        inputs: list[Any] = [self._data] if isinstance(node, InputNode) else known
        pieces = zip(*inputs, strict=True)
        self._values[node.name] = list(in_threads(lambda piece: node.apply(*piece), pieces))
        for name in set(node.inputs):
            if self._last_reader[name] == node.name:
                del self._values[name]

    def pieces(self, name: str) -> list[FloatArray]:
        """Return the pieces (b, L, H) of a tensor that some node to come reads."""
        return self._values[name]

    def watch(self, name: str, *, moments: bool = False, steps: bool = False) -> _Watched:
        """Return the moments of a tensor, or its largest magnitudes and the values of some steps.

        Of every so many steps one is kept, counted through all samples.
        """
        watched, passed = _Watched(), 0
        for piece in self._values[name]:
            rows = piece.reshape(-1, piece.shape[-1])  # (steps, H)
            if moments:
                watched.moments.add(rows)
            if steps:
                watched.largest.append(np.maximum(rows.max(axis=-1), -rows.min(axis=-1)))
                watched.kept.append(rows[-passed % self._every :: self._every].copy())
            passed += len(rows)
        return watched


def _is_dynamic(node: Node) -> bool:
    return isinstance(node, TernaryNode) and node.threshold is None


@dataclass
class _Watched:
    """A tensor on data: moments and largest magnitudes of all steps, and the values of some."""

    moments: Moments = field(default_factory=Moments)
    largest: list[FloatArray] = field(default_factory=list)  # (steps,) each
    kept: list[FloatArray] = field(default_factory=list)  # (steps, H) each

    @property
    def values(self) -> FloatArray:
        """The values that were kept, (steps, H)."""
        return np.concatenate(self.kept)


def _every(total: int, longest: int) -> int:
    """Return which share of the steps is kept: one in so many, in turn at every place of a sample.

    The least number for about `_STEPS` that has no factor in common with a sample's steps.
    """
    every = -(-total // _STEPS)
    while math.gcd(every, longest) > 1:
        every += 1
    return every


def _frozen(
    graph: Graph,
    name: str,
    trained: dict[str, _Watched],
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
        scale = _best_scale(target, weight, y, mean)
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
    graph: Graph, node: Node, spikes: FloatArray, trained: dict[str, _Watched]
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


def _best_scale(target: FloatArray, weight: FloatArray, y: FloatArray, mean: float) -> float:
    """Return the multiple of the mean whose spikes of y leave the least of the target unexplained.

    Of equals the largest, as a larger threshold means fewer spikes.
    """
    every = max(1, len(y) // _FIRST_STEPS)
    few = _explained_by(_SCALES * mean, target[::every], weight[::every], y[::every])
    best = int(np.argmax(few))
    if every > 1:
        near = range(max(0, best - _NEAR), min(len(_SCALES), best + _NEAR + 1))
        few = _explained_by(_SCALES[near.start : near.stop] * mean, target, weight, y)
        best = near[int(np.argmax(few))]
    # No spikes, or always the same ones, explain nothing: then the mean is as good as any.
    return float(_SCALES[best]) if max(few) > 0.0 else 1.0


def _explained_by(
    thresholds: FloatArray, target: FloatArray, weight: FloatArray, y: FloatArray
) -> list[float]:
    """Return how much of the target the spikes of each threshold explain, in single precision."""
    weight = weight if weight.any() else np.ones(len(weight))
    share = (weight / weight.sum()).astype(np.float32)
    root = np.sqrt(weight / weight.mean())[:, None].astype(np.float32)  # (steps, 1)
    wanted = root * (target - np.average(target, axis=0, weights=weight)).astype(np.float32)
    explained = []
    for threshold in thresholds:
        spikes = (y > threshold).astype(np.float32)
        spikes -= y < -threshold
        spikes -= share @ spikes
        spikes *= root
        explained.append(_explained(wanted, spikes))
    return explained


def _explained(target: NDArray[np.float32], spikes: NDArray[np.float32]) -> float:
    """Return how much of the target's sum of squares a linear map of the spikes explains."""
    own = (spikes.T @ spikes).astype(np.float64)  # (H, H)
    shared = (spikes.T @ target).astype(np.float64)  # (H, O)
    damping = _DAMPING * np.trace(own) / len(own)
    if damping == 0.0:  # no spike, or always the same ones
        return 0.0
    solution = np.linalg.solve(own + damping * np.eye(len(own)), shared)
    return float((shared * solution).sum())
