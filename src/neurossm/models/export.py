"""Export a network to the float graph: evaluation mode, double precision, one node per step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

import neurossm
from neurossm.errors import InputError, UnsupportedError
from neurossm.graph import (
    POOLS,
    AddNode,
    BatchNormNode,
    EmbeddingNode,
    GELUNode,
    Graph,
    InputNode,
    LayerNormNode,
    LIFNode,
    LinearNode,
    Node,
    ProductNode,
    ReLUNode,
    SigmoidNode,
    SpikeNode,
    SSMNode,
    TernaryNode,
)
from neurossm.models.binary_s4d import BinaryS4D
from neurossm.models.block import Block
from neurossm.models.checkpoint import Checkpoint, load
from neurossm.models.export_feedforward import array, feedforward_nodes
from neurossm.models.feedforward import Feedforward
from neurossm.models.gated import GatedMixer
from neurossm.models.graded_s4d import GradedS4D
from neurossm.models.gsu import GSU, StaticThreshold
from neurossm.models.network import UINT8_SCALE, Network
from neurossm.models.spiking_ssm import SOMA_DECAY, SpikingSSM
from neurossm.models.ssm import S4D


@torch.no_grad()
def export(source: Network | Feedforward | Checkpoint | str | os.PathLike[str]) -> Graph:
    """Return the float graph of a network: the same function, in float64.

    Parameters
    ----------
    source
        A network, a loaded checkpoint, or the path of one. The last two leave their sha256 and
        what is known about their training in the graph's provenance.

    Raises
    ------
    InputError, FormatError
        If the file cannot be read, or a pole is not inside the unit circle.
    """
    provenance: dict[str, Any] = {}
    if isinstance(source, (str, os.PathLike)):
        source = load(source)
    if isinstance(source, Checkpoint):
        if source.source:
            provenance["source"] = source.source
        provenance |= {"sha256": source.sha256, "training": dict(source.training)}
        source = source.model
    if not isinstance(source, Network | Feedforward):
        raise InputError(
            f"model: a {type(source).__name__} has no float graph; expected a Network of "
            "neurossm.models, what neurossm.load returns, or the path of a checkpoint"
        )
    provenance["config"] = source.config.to_dict()
    provenance["versions"] = {
        "neurossm": neurossm.__version__,
        "numpy": np.__version__,
        "torch": str(torch.__version__),
    }
    nodes = feedforward_nodes(source) if isinstance(source, Feedforward) else _nodes(source)
    return Graph(tuple(nodes), provenance)


def _nodes(model: Network) -> Iterator[Node]:
    yield _input(model)
    yield _encoder(model)
    name = "encoder"
    for index, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        prefix = f"blocks.{index}"
        for node in _block(block, prefix, name):
            yield replace(node, layer=prefix)
            name = node.name
    final = _norm(model.norm, "norm", name)
    if final is not None:
        yield final
        name = "norm"
    pool = model.config.pool
    yield POOLS[pool](pool, (name,))
    yield LinearNode("decoder", (pool,), array(model.decoder.weight), array(model.decoder.bias))


def _input(model: Network) -> InputNode:
    spec = model.config.input
    scale = UINT8_SCALE if spec.kind == "uint8" else 1.0
    return InputNode("input", (), spec.kind, spec.size, spec.low, spec.high, scale)


def _encoder(model: Network) -> Node:
    encoder = model.encoder
    if isinstance(encoder, nn.Embedding):
        return EmbeddingNode("encoder", ("input",), array(encoder.weight))
    assert isinstance(encoder, nn.Linear)
    return LinearNode("encoder", ("input",), array(encoder.weight), array(encoder.bias))


def _block(block: Block, prefix: str, source: str) -> Iterator[Node]:
    """Yield the nodes of a block that reads `source`; the last one is its output."""
    inner = source
    if block.prenorm:
        norm = _norm(block.norm, f"{prefix}.norm", source)
        if norm is not None:
            yield norm
            inner = norm.name
    yield _ssm(block.mixer.ssm, f"{prefix}.ssm", inner)
    if isinstance(block.mixer, GatedMixer):
        nodes = _gated(block.mixer, prefix)
    elif isinstance(block.mixer, GSU):
        nodes = _gsu(block.mixer, prefix)
    else:
        raise UnsupportedError(f"{prefix}: no export for a {type(block.mixer).__name__} layer")
    for node in nodes:
        yield node
        inner = node.name
    yield AddNode(f"{prefix}.add", (inner, source))
    if not block.prenorm:
        norm = _norm(block.norm, f"{prefix}.norm", f"{prefix}.add")
        if norm is not None:
            yield norm


def _ssm(ssm: S4D, name: str, source: str) -> SSMNode:
    a_bar, b_bar = ssm.discretise()
    a, b, c = (value.cpu().numpy() for value in (a_bar, b_bar, ssm.readout()))
    return SSMNode(name, (source,), a, b, c, array(ssm.D))


def _gated(layer: GatedMixer, prefix: str) -> Iterator[Node]:
    weight, bias = array(layer.dense.weight), array(layer.dense.bias)
    size = len(bias) // 2
    first = _activation(layer, prefix, size)
    yield first
    yield LinearNode(f"{prefix}.value", (first.name,), weight[:size], bias[:size])
    yield LinearNode(f"{prefix}.gate", (first.name,), weight[size:], bias[size:])
    yield SigmoidNode(f"{prefix}.sigmoid", (f"{prefix}.gate",))
    yield ProductNode(f"{prefix}.glu", (f"{prefix}.value", f"{prefix}.sigmoid"))


def _activation(layer: GatedMixer, prefix: str, size: int) -> Node:
    """Return the node between the SSM and the weights."""
    source = (f"{prefix}.ssm",)
    if isinstance(layer, BinaryS4D):
        return SpikeNode(f"{prefix}.spike", source, np.zeros(size))
    if isinstance(layer, SpikingSSM):
        below = np.nextafter(np.exp(array(layer.log_threshold)), 0)  # at the threshold it spikes
        return LIFNode(f"{prefix}.lif", source, np.full(size, SOMA_DECAY), below)
    if isinstance(layer, GradedS4D):
        kind = GELUNode if layer.activation == "gelu" else ReLUNode
        return kind(f"{prefix}.{layer.activation}", source)
    raise UnsupportedError(f"{prefix}: no export for a {type(layer).__name__} layer")


def _gsu(layer: GSU, prefix: str) -> Iterator[Node]:
    weight, ternary = array(layer.weight), array(layer.ternary_weight())
    size = len(weight)
    threshold = None
    if isinstance(layer.threshold, StaticThreshold):
        threshold = np.full(size, float(layer.threshold.running))
    yield TernaryNode(f"{prefix}.ternary", (f"{prefix}.ssm",), threshold, layer.factor)
    # y is a row vector in the formulas and a column vector in the graph, hence the transposes.
    yield LinearNode(f"{prefix}.first", (f"{prefix}.ternary",), weight.T, array(layer.bias))
    yield LinearNode(f"{prefix}.second", (f"{prefix}.ssm",), ternary.T, np.zeros(size))
    yield ProductNode(f"{prefix}.product", (f"{prefix}.first", f"{prefix}.second"))
    kind = "layernorm" if isinstance(layer.norm, nn.LayerNorm) else "batchnorm"
    norm = _norm(layer.norm, f"{prefix}.{kind}", f"{prefix}.product")
    assert norm is not None
    yield norm
    if layer.activation == "gelu":
        yield GELUNode(f"{prefix}.gelu", (norm.name,))


def _norm(norm: nn.Module, name: str, source: str) -> Node | None:
    """Return the node of a norm, None for the identity."""
    if isinstance(norm, nn.Identity):
        return None
    if isinstance(norm, nn.LayerNorm):
        return LayerNormNode(name, (source,), array(norm.weight), array(norm.bias), norm.eps)
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, var = array(norm.running_mean), array(norm.running_var)
    return BatchNormNode(name, (source,), mean, var, array(norm.weight), array(norm.bias), norm.eps)
