"""Float graphs as primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurossm import graph as nodes
from neurossm.arrays import FloatArray
from neurossm.errors import UnsupportedError
from neurossm.graph.data import check_data
from neurossm.lava.parameters import (
    GELU,
    Decoder,
    DynamicTernary,
    Logistic,
    Modes,
    Normalise,
    Product,
    Rescale,
    Segments,
    Sum,
    Ternary,
)
from neurossm.lava.primitives import Primitive, Primitives, Rows, Source, Threshold, Unit, Weights

__all__ = ["encode", "from_graph"]

_MESSAGE_BITS: dict[type[nodes.Node], int] = {nodes.Spike: 0, nodes.Ternary: 2}
"""Width of messages that are no real numbers; with 0 Lava's Dense takes a -1 for 1."""


def encode(graph: nodes.Graph, data: ArrayLike) -> FloatArray:
    """Return the values (B, L, channels) that the network is to play; InputError if unsuitable."""
    x = check_data(graph.input, data).astype(np.float64)
    return x if graph.input.kind == "tokens" else x * graph.input.scale


def from_graph(graph: nodes.Graph) -> Primitives:
    """Turn a float graph into primitives; a Linear becomes a matrix product and a bias.

    Raises
    ------
    UnsupportedError
        A node has no Lava process.
    """
    items: list[Primitive] = []
    for node in graph.nodes:
        items += _primitives(graph, node)
    return Primitives(items)


def _primitives(graph: nodes.Graph, node: nodes.Node) -> list[Primitive]:
    channels = graph.channels()[node.name]
    if isinstance(node, nodes.Mean):
        return []  # part of the decoder
    if isinstance(node, nodes.Linear):
        source = graph[node.inputs[0]]
        if isinstance(source, nodes.Mean):
            decoder = Decoder(node.weight, node.bias)
            return [Primitive(node.name, source.inputs, decoder, channels)]
        weights = Weights(node.weight, _MESSAGE_BITS.get(type(source), 32))
        bias = Rescale(np.ones_like(node.bias), offset=node.bias)
        product = f"{node.name}.product"
        return [
            Primitive(product, node.inputs, weights, channels),
            Primitive(node.name, (product,), bias, channels),
        ]
    convert = _CONVERSIONS.get(type(node))
    if convert is None:
        raise UnsupportedError(
            f"{node.name}: Lava has no process for {type(node).__name__}; "
            "evaluate the graph without Lava"
        )
    return [Primitive(node.name, node.inputs, convert(node), channels)]


def _batch_norm(node: nodes.BatchNorm) -> Rescale:
    gain = node.gain / np.sqrt(node.var + node.eps)
    return Rescale(gain, offset=node.bias - gain * node.mean)


def _layer_norm(node: nodes.LayerNorm) -> Normalise:
    channels = node.gain.size
    return Normalise(node.gain * np.sqrt(channels), 20, node.bias, node.eps * channels**3)


def _ternary(node: nodes.Ternary) -> Ternary | DynamicTernary:
    return DynamicTernary(node.factor) if node.threshold is None else Ternary(node.threshold)


def _modes(node: nodes.SSM) -> Modes:
    return Modes.of(node.A_bar, node.B_bar, node.C, node.D)


_CONVERSIONS: dict[type[nodes.Node], Callable[[Any], Unit]] = {
    nodes.Input: lambda node: Source(32),
    nodes.Embedding: lambda node: Rows(node.weight),
    nodes.BatchNorm: _batch_norm,
    nodes.LayerNorm: _layer_norm,
    nodes.Affine: lambda node: Rescale(node.scale, offset=node.shift),
    nodes.SSM: _modes,
    nodes.Spike: lambda node: Threshold(node.threshold),
    nodes.Ternary: _ternary,
    nodes.Sigmoid: lambda node: Logistic(),
    nodes.GELU: lambda node: GELU(),
    nodes.PiecewiseLinear: lambda node: Segments(
        node.start, -node.width_log2, node.base, node.slope
    ),
    nodes.Product: lambda node: Product(np.zeros(1, np.int64)),
    nodes.Add: lambda node: Sum(),
}
