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
    MaxNode,
    Node,
    PoolNode,
    SoftResetNode,
    SSMNode,
)


def fold(graph: Graph) -> Graph:
    """Return a graph that computes the same function with fewer operations per step.

    - BatchNorm becomes `Affine` (its statistics are constants in evaluation);
    - `B_bar` is multiplied into `C`: the states are rescaled, the output is the same;
    - the states of a neuron with soft reset are rescaled by its gain, and an Affine between it
      and a Linear becomes part of the Linear, where nothing else reads them;
    - an input's scale is multiplied into the weights that read it, if nothing else does;
    - an Affine before the pool over time moves into the decoder, unless a gain below 0 would turn
      the largest value into the smallest.
    """
    folded = graph.with_nodes(_fold_node(node) for node in graph.nodes)
    return _fold_final_affine(_fold_input_scale(_fold_affines(folded)))


def _fold_node(node: Node) -> Node:
    if isinstance(node, BatchNormNode):
        scale = node.gain / np.sqrt(node.var + node.eps)
        return AffineNode(
            node.name, node.inputs, scale, node.bias - node.mean * scale, layer=node.layer
        )
    if isinstance(node, SoftResetNode):
        return node.without_gain()
    if isinstance(node, SSMNode):
        return replace(node, B_bar=np.ones_like(node.B_bar), C=node.C * node.B_bar)
    return node


def _fold_affines(graph: Graph) -> Graph:
    """Multiply the Affines that drive neurons with soft reset into the Linear nodes before them.

    What is made has the Affine's name, whose tensor it computes.
    """
    merged: dict[str, LinearNode] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        source = graph[node.inputs[0]] if isinstance(node, AffineNode) else None
        if not (isinstance(node, AffineNode) and isinstance(source, LinearNode)):
            continue
        drives = all(isinstance(reader, SoftResetNode) for reader in graph.readers(node.name))
        if drives and node is not graph.output and len(graph.readers(source.name)) == 1:
            gone.add(source.name)
            merged[node.name] = replace(
                source,
                name=node.name,
                weight=source.weight * node.scale[:, None],
                bias=source.bias * node.scale + node.shift,
            )
    return graph.with_nodes(
        merged.get(node.name, node) for node in graph.nodes if node.name not in gone
    )


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
    pool = next((node for node in graph.nodes if isinstance(node, PoolNode)), None)
    if pool is None:
        return graph
    affine = graph[pool.inputs[0]]
    readers = graph.readers(pool.name)
    decoder = readers[0] if len(readers) == 1 else None
    private = len(graph.readers(affine.name)) == 1
    if not (isinstance(affine, AffineNode) and isinstance(decoder, LinearNode) and private):
        return graph
    if isinstance(pool, MaxNode) and (affine.scale < 0).any():
        return graph
    merged = replace(
        decoder,
        weight=decoder.weight * affine.scale,
        bias=decoder.bias + decoder.weight @ affine.shift,
    )
    moved = replace(pool, inputs=affine.inputs)
    replacement = {decoder.name: merged, pool.name: moved}
    return graph.with_nodes(
        replacement.get(node.name, node) for node in graph.nodes if node is not affine
    )
