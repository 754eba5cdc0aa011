"""The float graph's nodes: one frozen dataclass per function, with all that is known of it.

Every node has one output tensor, named as the node, of shape (B, L, channels): batch, time steps,
channels. `H` is the number of channels (`d_model`), `N` the number of complex modes per channel.
All arithmetic is float64 (complex128 inside the SSM).
"""

from __future__ import annotations

from neurossm.graph.adlif import AdLIFNode
from neurossm.graph.functions import GELUNode, PiecewiseLinearNode, ReLUNode, SigmoidNode
from neurossm.graph.lif import LIFNode
from neurossm.graph.linear import AffineNode, EmbeddingNode, LinearNode
from neurossm.graph.merging import AddNode, ProductNode
from neurossm.graph.node import Node
from neurossm.graph.norms import BatchNormNode, LayerNormNode
from neurossm.graph.pooling import POOLS, EachNode, LastNode, MaxNode, MeanNode, PoolNode
from neurossm.graph.resonate_fire import ResonateFireNode
from neurossm.graph.soft_reset import SoftResetNode
from neurossm.graph.softmax import SoftmaxNode
from neurossm.graph.source import INPUT_KINDS, InputNode
from neurossm.graph.spikes import SpikeNode, TernaryNode
from neurossm.graph.ssm import SSMNode

NODE_TYPES: dict[str, type[Node]] = {
    "Input": InputNode,
    "Linear": LinearNode,
    "Embedding": EmbeddingNode,
    "BatchNorm": BatchNormNode,
    "LayerNorm": LayerNormNode,
    "Affine": AffineNode,
    "SSM": SSMNode,
    "Spike": SpikeNode,
    "Ternary": TernaryNode,
    "Sigmoid": SigmoidNode,
    "GELU": GELUNode,
    "PiecewiseLinear": PiecewiseLinearNode,
    "Product": ProductNode,
    "Add": AddNode,
    "Mean": MeanNode,
    "ReLU": ReLUNode,
    "LIF": LIFNode,
    "AdLIF": AdLIFNode,
    "ResonateFire": ResonateFireNode,
    "Softmax": SoftmaxNode,
    "Last": LastNode,
    "Max": MaxNode,
    "Each": EachNode,
}
"""Node types by the names that files give them."""
TYPE_NAMES: dict[type, str] = {kind: name for name, kind in NODE_TYPES.items()}

__all__ = [
    "INPUT_KINDS",
    "NODE_TYPES",
    "POOLS",
    "TYPE_NAMES",
    "AdLIFNode",
    "AddNode",
    "AffineNode",
    "BatchNormNode",
    "EachNode",
    "EmbeddingNode",
    "GELUNode",
    "InputNode",
    "LIFNode",
    "LastNode",
    "LayerNormNode",
    "LinearNode",
    "MaxNode",
    "MeanNode",
    "Node",
    "PiecewiseLinearNode",
    "PoolNode",
    "ProductNode",
    "ReLUNode",
    "ResonateFireNode",
    "SSMNode",
    "SigmoidNode",
    "SoftResetNode",
    "SoftmaxNode",
    "SpikeNode",
    "TernaryNode",
]
