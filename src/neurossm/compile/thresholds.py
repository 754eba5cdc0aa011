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

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray
from neurossm.compile.norm_statistics import Moments, restored
from neurossm.errors import InputError
from neurossm.graph import BatchNorm, Graph, LayerNorm, Linear, Node, Product, Ternary
from neurossm.graph.data import batches
from neurossm.graph.evaluate import evaluate
from neurossm.naming import part_of
from neurossm.program.program import Approximation

_SCALES = np.geomspace(4.0, 0.25, 33)
"""Multiples of a dynamic threshold's mean that are tried, 9 % apart."""
_STEPS = 20_000
"""About so many time steps are kept to judge thresholds."""
_DAMPING = 1e-3
"""Share of the mean variance added to every spike's own: keeps rare spikes from explaining much."""


def freeze_thresholds(
    graph: Graph, scale: float | None, data: NDArray[np.generic] | None
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
        Raw input samples.

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
        return graph, ()
    if data is None:
        raise InputError(
            f"{dynamic[0].name}: the threshold follows the largest activation of each step, which "
            "spiking cores do not compute; give --calibration DATA.npz to make it a static one"
        )
    norms = [node for node in graph.nodes if isinstance(node, BatchNorm)]
    names = [node.inputs[0] for node in (*dynamic, *norms)]
    products = [_gate(graph, node)[1] for node in dynamic]
    names += [name for product in products if product is not None for name in product.inputs]
    trained = _watch(graph, data, names)
    nodes: list[Node] = []
    approximations: list[Approximation] = []
    changed: set[str] = set()  # what depends on a static threshold
    for node in graph.nodes:
        behind = not changed.isdisjoint(node.inputs)
        if _is_dynamic(node) or (behind and isinstance(node, BatchNorm)):
            source = node.inputs[0]
            now = trained[source]
            if behind:
                now = _watch(graph.with_nodes(nodes), data, [source])[source]
            if isinstance(node, BatchNorm):
                before = trained[source].moments
                node, approximation = restored(node, before, now.moments, len(data))
            else:
                node, approximation = _frozen(graph, node.name, trained, now, scale, len(data))
            approximations.append(approximation)
            behind = True
        if behind:
            changed.add(node.name)
        nodes.append(node)
    return graph.with_nodes(nodes), tuple(approximations)


def _is_dynamic(node: Node) -> bool:
    return isinstance(node, Ternary) and node.threshold is None


@dataclass
class _Watched:
    """A tensor on data: moments and largest magnitudes of all steps, and the values of some."""

    moments: Moments = field(default_factory=Moments)
    largest: list[FloatArray] = field(default_factory=list)  # (steps,) each
    kept: list[FloatArray] = field(default_factory=list)  # (steps, H) each

    def add(self, values: FloatArray, every: int) -> None:
        """Add values (B, L, H); keep those of one step in so many."""
        steps = values.reshape(-1, values.shape[-1])
        self.moments.add(steps)
        self.largest.append(np.abs(steps).max(axis=-1))
        self.kept.append(steps[::every].copy())

    @property
    def values(self) -> FloatArray:
        """The values that were kept, (steps, H)."""
        return np.concatenate(self.kept)


def _watch(graph: Graph, data: NDArray[np.generic], names: list[str]) -> dict[str, _Watched]:
    seen = {name: _Watched() for name in names}
    for batch in batches(graph.input, data, "calibration data"):
        every = _every(len(data), batch.shape[1])
        values = evaluate(graph, batch, names)
        for name, watched in seen.items():
            watched.add(values[name], every)
    return seen


def _every(samples: int, steps: int) -> int:
    """Return which share of the steps is kept: one in so many, in turn at every place of a sample.

    The least number for about `_STEPS` that has no factor in common with a sample's steps.
    """
    every = -(-samples * steps // _STEPS)
    while math.gcd(every, steps) > 1:
        every += 1
    return every


def _frozen(
    graph: Graph,
    name: str,
    trained: dict[str, _Watched],
    now: _Watched,
    scale: float | None,
    samples: int,
) -> tuple[Ternary, Approximation]:
    """Return a node with a static threshold; `now` is its input, with those before it replaced."""
    node = graph[name]
    assert isinstance(node, Ternary)
    before = trained[node.inputs[0]]
    dynamic = node.factor * np.concatenate(before.largest)
    mean = float(dynamic.mean())
    spikes, y = node.apply(before.values), now.values
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


def _gate(graph: Graph, spikes: Node) -> tuple[Linear | None, Product | None]:
    """Return the weights that read the spikes, and the product that their output goes into."""
    linear = [node for node in graph.readers(spikes.name) if isinstance(node, Linear)]
    if not linear:
        return None, None
    products = [node for node in graph.readers(linear[0].name) if isinstance(node, Product)]
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
        if isinstance(norm, LayerNorm):
            weight = weight / (np.var(target * factor, axis=-1) + norm.eps)
    return target, weight if weight.any() else np.ones(len(target))


def _best_scale(target: FloatArray, weight: FloatArray, y: FloatArray, mean: float) -> float:
    """Return the multiple of the mean whose spikes of y leave the least of the target unexplained.

    Of equals the largest, as a larger threshold means fewer spikes.
    """
    root = np.sqrt(weight / weight.mean())[:, None]  # (steps, 1)
    target = root * (target - np.average(target, axis=0, weights=weight))
    explained = []
    for threshold in _SCALES * mean:
        spikes = (y > threshold).astype(float) - (y < -threshold)
        spikes = root * (spikes - np.average(spikes, axis=0, weights=weight))
        explained.append(_explained(target, spikes))
    best = int(np.argmax(explained))
    # No spikes, or always the same ones, explain nothing: then the mean is as good as any.
    return float(_SCALES[best]) if explained[best] > 0.0 else 1.0


def _explained(target: FloatArray, spikes: FloatArray) -> float:
    """Return how much of the target's sum of squares a linear map of the spikes explains."""
    own = spikes.T @ spikes  # (H, H)
    shared = spikes.T @ target  # (H, O)
    damping = _DAMPING * np.trace(own) / len(own)
    if damping == 0.0:  # no spike, or always the same ones
        return 0.0
    solution = np.linalg.solve(own + damping * np.eye(len(own)), shared)
    return float((shared * solution).sum())
