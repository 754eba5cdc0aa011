"""The float graph's nodes: one frozen dataclass per function, with all that is known of it.

Every node has one output tensor, named as the node, of shape (B, L, channels): batch, time steps,
channels. `H` is the number of channels (`d_model`), `N` the number of complex modes per channel.
All arithmetic is float64 (complex128 inside the SSM).
"""

from __future__ import annotations

from neurossm.graph.functions import GELU, PiecewiseLinear, ReLU, Sigmoid
from neurossm.graph.lif import LIF
from neurossm.graph.linear import Affine, Embedding, Linear
from neurossm.graph.merging import Add, Mean, Product
from neurossm.graph.node import Node
from neurossm.graph.norms import BatchNorm, LayerNorm
from neurossm.graph.source import INPUT_KINDS, Input
from neurossm.graph.spikes import Spike, Ternary
from neurossm.graph.ssm import SSM

NODE_TYPES: dict[str, type[Node]] = {
    kind.__name__: kind
    for kind in (
        Input,
        Linear,
        Embedding,
        BatchNorm,
        LayerNorm,
        Affine,
        SSM,
        Spike,
        Ternary,
        Sigmoid,
        GELU,
        PiecewiseLinear,
        Product,
        Add,
        Mean,
        ReLU,
        LIF,
    )
}

__all__ = [
    "GELU",
    "INPUT_KINDS",
    "LIF",
    "NODE_TYPES",
    "SSM",
    "Add",
    "Affine",
    "BatchNorm",
    "Embedding",
    "Input",
    "LayerNorm",
    "Linear",
    "Mean",
    "Node",
    "PiecewiseLinear",
    "Product",
    "ReLU",
    "Sigmoid",
    "Spike",
    "Ternary",
]
