"""How large every tensor can get: proved by interval analysis, or seen on calibration data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray
from neurossm.errors import UnsupportedError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.graph.data import batches
from neurossm.graph.evaluate import apply, evaluate, ssm_kernel

_KERNEL_STEPS = 4096


@dataclass(frozen=True, eq=False)
class Range:
    """Real values lie in [low, high], per channel (C)."""

    low: FloatArray
    high: FloatArray

    def largest(self) -> FloatArray:
        """Return the largest absolute value, (C)."""
        largest: FloatArray = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest

    def widened(self, factor: float) -> Range:
        """Return the range with its ends moved away from zero; `factor` is at least 1."""
        return Range(
            np.minimum(self.low, self.low * factor), np.maximum(self.high, self.high * factor)
        )


@dataclass(frozen=True, eq=False)
class Ranges:
    """Ranges of all tensors of a graph.

    Parameters
    ----------
    tensors
        By node name.
    states
        Largest `|Re s|` or `|Im s|` (H, N) by SSM name; None for proved scaling, where they
        follow from the quantised poles.
    """

    tensors: Mapping[str, Range]
    states: Mapping[str, FloatArray] | None


def proved_ranges(graph: Graph) -> Ranges:
    """Bound every tensor for every admissible input of any length, node by node."""
    tensors: dict[str, Range] = {}
    for node in graph.nodes:
        tensors[node.name] = bound(node, *(tensors[name] for name in node.inputs))
    return Ranges(tensors, None)


def calibrated_ranges(graph: Graph, data: NDArray[np.generic], headroom_bits: int) -> Ranges:
    """Return the ranges seen on data, widened by `2**headroom_bits`."""
    names = [node.name for node in graph.nodes]
    factor = 2.0**headroom_bits
    tensors: dict[str, Range] = {}
    states: dict[str, FloatArray] = {}
    for batch in batches(graph.input, data, "calibration data"):
        values = evaluate(graph, batch, names)
        for node in graph.nodes:
            value = values[node.name].reshape(-1, values[node.name].shape[-1])
            seen = Range(value.min(axis=0).astype(float), value.max(axis=0).astype(float))
            tensors[node.name] = _hull(tensors.get(node.name), seen)
            if isinstance(node, n.SSM):
                peak = largest_states(node, values[node.inputs[0]])
                states[node.name] = np.maximum(states.get(node.name, 0.0), peak)
    tensors = {name: seen.widened(factor) for name, seen in tensors.items()}
    for node in graph.nodes:
        if isinstance(node, (n.Input, n.PiecewiseLinear, n.Spike, n.Ternary)):
            # Declared or limited by the function itself: nothing to widen.
            tensors[node.name] = bound(node, *(tensors[name] for name in node.inputs))
    return Ranges(tensors, {name: peak * factor for name, peak in states.items()})


def _hull(first: Range | None, second: Range) -> Range:
    if first is None:
        return second
    return Range(np.minimum(first.low, second.low), np.maximum(first.high, second.high))


@singledispatch
def bound(node: n.Node, *inputs: Range) -> Range:
    """Return the range of a node's output, given those of its inputs."""
    raise UnsupportedError(
        f"{node.name}: the compiler does not know how to bound a {type(node).__name__}"
    )


@bound.register
def _(node: n.Input) -> Range:
    scale = 1.0 if node.kind == "tokens" else node.scale
    ends = sorted(end * scale for end in node.data_range())
    low, high = (np.full(node.channels(), end) for end in ends)
    return Range(low, high)


@bound.register
def _(node: n.Linear, x: Range) -> Range:
    positive, negative = np.maximum(node.weight, 0), np.minimum(node.weight, 0)
    return Range(
        positive @ x.low + negative @ x.high + node.bias,
        positive @ x.high + negative @ x.low + node.bias,
    )


@bound.register
def _(node: n.Embedding, x: Range) -> Range:
    return Range(node.weight.min(axis=0), node.weight.max(axis=0))


@bound.register(n.Affine)
@bound.register(n.BatchNorm)
def _(node: n.Affine | n.BatchNorm, x: Range) -> Range:
    ends = apply(node, x.low), apply(node, x.high)
    return Range(np.minimum(*ends), np.maximum(*ends))


@bound.register
def _(node: n.LayerNorm, x: Range) -> Range:
    reach = np.abs(node.gain) * np.sqrt(node.gain.size)  # one channel holds the whole variance
    return Range(node.bias - reach, node.bias + reach)


@bound.register
def _(node: n.SSM, u: Range) -> Range:
    """Sum the kernel's positive and negative parts, and the poles' series beyond its length."""
    kernel = ssm_kernel(node, _KERNEL_STEPS)
    kernel[:, 0] += node.D
    radius = np.abs(node.A_bar)
    rest = 2 * np.abs(node.C * node.B_bar) * radius**_KERNEL_STEPS / (1 - radius)
    tail = rest.sum(axis=1) * u.largest()
    low, high = np.minimum(u.low, 0), np.maximum(u.high, 0)  # before the first step u is 0
    positive = np.maximum(kernel, 0).sum(axis=1)
    negative = np.maximum(-kernel, 0).sum(axis=1)
    return Range(
        positive * low - negative * high - tail,
        positive * high - negative * low + tail,
    )


@bound.register
def _(node: n.Spike, x: Range) -> Range:
    return Range(np.zeros_like(x.low), np.ones_like(x.low))


@bound.register
def _(node: n.Ternary, x: Range) -> Range:
    return Range(-np.ones_like(x.low), np.ones_like(x.low))


@bound.register
def _(node: n.Sigmoid, x: Range) -> Range:
    return Range(apply(node, x.low), apply(node, x.high))


@bound.register
def _(node: n.GELU, x: Range) -> Range:
    lowest = -0.17004  # GELU's minimum, -0.170041 at -0.7518, rounded towards the safe side below
    ends = apply(node, x.low), apply(node, x.high)
    holds_minimum = (x.low < -0.7518) & (x.high > -0.7518)
    low = np.where(holds_minimum, lowest - 1e-4, np.minimum(*ends))
    return Range(low, np.maximum(*ends))


@bound.register
def _(node: n.PiecewiseLinear, x: Range) -> Range:
    left = node.start + np.arange(node.base.size) * 2.0**-node.width_log2
    right_end = node.base + node.slope * 2.0**-node.width_log2
    # A segment that begins at the upper end counts, too: what is just before it is reached.
    inside = (left[:, None] > x.low) & (left[:, None] <= x.high)  # (segments, C)
    knots = np.stack([node.base, np.concatenate([node.base[:1], right_end[:-1]])])
    ends = np.stack([apply(node, x.low), apply(node, x.high)])
    low = np.where(inside, knots.min(axis=0)[:, None], np.inf).min(axis=0)
    high = np.where(inside, knots.max(axis=0)[:, None], -np.inf).max(axis=0)
    return Range(np.minimum(low, ends.min(axis=0)), np.maximum(high, ends.max(axis=0)))


@bound.register
def _(node: n.Product, x: Range, y: Range) -> Range:
    corners = np.stack([x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high])
    return Range(corners.min(axis=0), corners.max(axis=0))


@bound.register
def _(node: n.Add, x: Range, y: Range) -> Range:
    return Range(x.low + y.low, x.high + y.high)


@bound.register
def _(node: n.Mean, x: Range) -> Range:
    return x


def largest_states(node: n.SSM, u: FloatArray) -> FloatArray:
    """Return the largest `|Re s|` or `|Im s|` (H, N) over samples and steps of u (B, L, H)."""
    peak: FloatArray = _state_peaks()(
        np.ascontiguousarray(u.transpose(2, 0, 1)), node.A_bar, node.B_bar
    )
    return peak


@lru_cache(maxsize=1)
def _state_peaks() -> Any:
    """Compile the recurrence on first use: importing this package must not import Numba."""
    from numba import njit, prange

    def peaks(u: FloatArray, A_bar: Any, B_bar: Any) -> FloatArray:
        channels, modes = A_bar.shape
        out = np.zeros((channels, modes))
        for h in prange(channels):
            for b in range(u.shape[1]):
                state = np.zeros(modes, np.complex128)
                for t in range(u.shape[2]):
                    for i in range(modes):
                        state[i] = A_bar[h, i] * state[i] + B_bar[h, i] * u[h, b, t]
                        out[h, i] = max(out[h, i], abs(state[i].real), abs(state[i].imag))
        return out

    return njit(parallel=True, cache=True)(peaks)
