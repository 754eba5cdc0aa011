"""Fold what can be computed before running: BatchNorm, B, input scale, final norm into decoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurossm.graph import (
    AffineNode,
    BatchNormNode,
    Graph,
    InputNode,
    LinearNode,
    MeanNode,
    Node,
    SSMNode,
)


def fold(graph: Graph) -> Graph:
    """Return a graph that computes the same function with fewer operations per step.

    - BatchNorm becomes `Affine` (its statistics are constants in evaluation);
    - `B_bar` is multiplied into `C`: the states are rescaled, the output is the same;
    - an input's scale is multiplied into the weights that read it, if nothing else does;
    - an Affine before the mean over time moves into the decoder, as both are linear.
    """
    folded = graph.with_nodes(_fold_node(node) for node in graph.nodes)
    return _fold_final_affine(_fold_input_scale(folded))


def _fold_node(node: Node) -> Node:
    if isinstance(node, BatchNormNode):
        scale = node.gain / np.sqrt(node.var + node.eps)
        return AffineNode(
            node.name, node.inputs, scale, node.bias - node.mean * scale, layer=node.layer
        )
    if isinstance(node, SSMNode):
        return replace(node, B_bar=np.ones_like(node.B_bar), C=node.C * node.B_bar)
    return node


def _fold_input_scale(graph: Graph) -> Graph:
    source = graph.input
    if source.kind == "tokens" or source.scale == 1.0:
        return graph
    readers = graph.readers(source.name)
    if not all(isinstance(node, LinearNode) for node in readers):
        return graph
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, InputNode):
            low, high = node.data_range()
            node = replace(node, scale=1.0, low=low, high=high)
        elif isinstance(node, LinearNode) and source.name in node.inputs:
            node = replace(node, weight=node.weight * source.scale)
        nodes.append(node)
    return graph.with_nodes(nodes)


def _fold_final_affine(graph: Graph) -> Graph:
    mean = next((node for node in graph.nodes if isinstance(node, MeanNode)), None)
    if mean is None:
        return graph
    affine = graph[mean.inputs[0]]
    readers = graph.readers(mean.name)
    decoder = readers[0] if len(readers) == 1 else None
    private = len(graph.readers(affine.name)) == 1
    if not (isinstance(affine, AffineNode) and isinstance(decoder, LinearNode) and private):
        return graph
    merged = replace(
        decoder,
        weight=decoder.weight * affine.scale,
        bias=decoder.bias + decoder.weight @ affine.shift,
    )
    moved = replace(mean, inputs=affine.inputs)
    replacement = {decoder.name: merged, mean.name: moved}
    return graph.with_nodes(
        replacement.get(node.name, node) for node in graph.nodes if node is not affine
    )
