"""Evaluate a float graph in float64, whole sequences at once.

The SSM is a causal convolution with its kernel `K_t = 2 Re(sum_n C_n B_n A_n^t)`, computed with
the fast Fourier transform; it equals the recurrence up to rounding (1e-12 of the output's scale).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, special

from neurossm.arrays import ComplexArray, FloatArray, as_names
from neurossm.errors import InputError, UnsupportedError
from neurossm.graph import nodes as n
from neurossm.graph.data import check_data
from neurossm.graph.graph import Graph

_CHUNK_VALUES = 4_000_000
"""Samples are evaluated in groups of about this many values per tensor (32 MB)."""

Progress = Callable[[int], None]


def evaluate(
    graph: Graph,
    data: ArrayLike,
    record: Iterable[str] = (),
    progress: Progress | None = None,
) -> dict[str, FloatArray]:
    """Run samples through a graph.

    Parameters
    ----------
    graph
        The network.
    data
        (B, L, size), or (B, L) for tokens and single-channel inputs; of the input's declared kind.
    record
        Names of tensors wanted besides the output; "NAME.state" gives an SSM's complex states.
    progress
        Called with the number of samples done after each group.

    Returns
    -------
    dict
        The output tensor under its node's name, and every recorded tensor: (B, L, channels).

    Raises
    ------
    InputError
        The data do not suit the input, or a recorded name is unknown.
    """
    x = check_data(graph.input, data)
    wanted = [*dict.fromkeys([*as_names(record, "record"), graph.output.name])]
    known = {node.name for node in graph.nodes}
    known |= {f"{node.name}.state" for node in graph.nodes if isinstance(node, n.SSM)}
    for name in wanted:
        if name not in known:
            raise InputError(f"record: the graph has no tensor {name!r}")
    group = max(1, _CHUNK_VALUES // (x.shape[1] * max(graph.channels().values())))
    parts: dict[str, list[FloatArray]] = {name: [] for name in wanted}
    for start in range(0, len(x), group):
        values = _evaluate_group(graph, x[start : start + group], set(wanted))
        for name in wanted:
            parts[name].append(values[name])
        if progress is not None:
            progress(min(start + group, len(x)))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _evaluate_group(
    graph: Graph, x: NDArray[np.generic], wanted: set[str]
) -> dict[str, FloatArray]:
    last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
    values: dict[str, Any] = {}
    for node in graph.nodes:
        inputs: list[Any] = [x] if isinstance(node, n.Input) else [values[i] for i in node.inputs]
        values[node.name] = apply(node, *inputs)
        if f"{node.name}.state" in wanted and isinstance(node, n.SSM):
            values[f"{node.name}.state"] = ssm_states(node, inputs[0])
        for name in set(node.inputs):
            if last_reader[name] == node.name and name not in wanted:
                del values[name]
    return values


@singledispatch
def apply(node: n.Node, *inputs: FloatArray) -> FloatArray:
    """Compute a node's output (B, L, channels) from its inputs."""
    raise UnsupportedError(f"{node.name}: no evaluation for {type(node).__name__}")


@apply.register
def _(node: n.Input, x: FloatArray) -> FloatArray:
    return x if node.kind == "tokens" else x.astype(np.float64) * node.scale


@apply.register
def _(node: n.Linear, x: FloatArray) -> FloatArray:
    product: FloatArray = x @ node.weight.T + node.bias
    return product


@apply.register
def _(node: n.Embedding, x: FloatArray) -> FloatArray:
    rows: FloatArray = node.weight[x[..., 0].astype(np.int64)]
    return rows


@apply.register
def _(node: n.BatchNorm, x: FloatArray) -> FloatArray:
    normal: FloatArray = (x - node.mean) / np.sqrt(node.var + node.eps) * node.gain + node.bias
    return normal


@apply.register
def _(node: n.LayerNorm, x: FloatArray) -> FloatArray:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    normal: FloatArray = centred / np.sqrt(variance + node.eps) * node.gain + node.bias
    return normal


@apply.register
def _(node: n.Affine, x: FloatArray) -> FloatArray:
    return node.scale * x + node.shift


@apply.register
def _(node: n.SSM, u: FloatArray) -> FloatArray:
    length = u.shape[1]
    size = fft.next_fast_len(2 * length - 1, real=True)
    kernel = fft.rfft(ssm_kernel(node, length), size, axis=1)  # (H, size / 2 + 1)
    y = np.empty_like(u)
    for sample, out in zip(u, y, strict=True):
        spectrum = fft.rfft(np.ascontiguousarray(sample.T), size, axis=1, workers=-1)
        out[:] = fft.irfft(spectrum * kernel, size, axis=1, workers=-1)[:, :length].T
    return y + node.D * u


@apply.register
def _(node: n.Spike, x: FloatArray) -> FloatArray:
    return (x > node.threshold).astype(np.float64)


@apply.register
def _(node: n.Ternary, x: FloatArray) -> FloatArray:
    if node.threshold is None:
        threshold = node.factor * np.abs(x).max(axis=-1, keepdims=True)
    else:
        threshold = node.threshold
    spikes: FloatArray = (x > threshold).astype(np.float64) - (-x > threshold)
    return spikes


@apply.register
def _(node: n.Sigmoid, x: FloatArray) -> FloatArray:
    value: FloatArray = special.expit(x)
    return value


@apply.register
def _(node: n.GELU, x: FloatArray) -> FloatArray:
    value: FloatArray = x * special.ndtr(x)
    return value


@apply.register
def _(node: n.PiecewiseLinear, x: FloatArray) -> FloatArray:
    width = 2.0**-node.width_log2
    segment = np.clip(np.floor((x - node.start) / width), 0, node.base.size - 1).astype(np.int64)
    y: FloatArray = node.base[segment] + node.slope[segment] * (x - node.start - segment * width)
    return y


@apply.register
def _(node: n.Product, x: FloatArray, y: FloatArray) -> FloatArray:
    return x * y


@apply.register
def _(node: n.Add, x: FloatArray, y: FloatArray) -> FloatArray:
    return x + y


@apply.register
def _(node: n.Mean, x: FloatArray) -> FloatArray:
    mean: FloatArray = x.mean(axis=1)
    return mean


def ssm_kernel(node: n.SSM, length: int) -> FloatArray:
    """Return the convolution kernel `2 Re(sum_n C_n B_n A_n^t)`, (H, length).

    The powers are taken as `A^(P i + j) = A^(P i) A^j` with P about the square root of the length,
    which needs 2 P powers and one matrix product per channel instead of `length` powers.
    """
    block = int(np.ceil(np.sqrt(length)))
    steps = np.arange(block)
    fine = node.A_bar[:, :, None] ** steps  # (H, N, P): A^j
    coarse = node.A_bar[:, None, :] ** (block * steps[:, None])  # (H, P, N): A^(P i)
    weighted = coarse * (node.C * node.B_bar)[:, None, :]
    kernel: FloatArray = 2 * (weighted @ fine).real  # (H, P, P)
    return kernel.reshape(len(kernel), -1)[:, :length]


def ssm_states(node: n.SSM, u: FloatArray) -> ComplexArray:
    """Return the states of the recurrence, (B, L, H, N) complex: for small cases and ranges."""
    state = np.zeros((u.shape[0], *node.A_bar.shape), dtype=np.complex128)
    states = np.empty((*u.shape[:2], *node.A_bar.shape), dtype=np.complex128)
    for t in range(u.shape[1]):
        state = node.A_bar * state + node.B_bar * u[:, t, :, None]
        states[:, t] = state
    return states
