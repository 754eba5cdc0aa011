"""The float graph: one frozen dataclass per node type, shape checks, evaluation, HDF5."""

from neurossm.graph.graph import Graph
from neurossm.graph.nodes import (
    GELU,
    SSM,
    Add,
    Affine,
    BatchNorm,
    Embedding,
    Input,
    LayerNorm,
    Linear,
    Mean,
    Node,
    PiecewiseLinear,
    Product,
    Sigmoid,
    Spike,
    Ternary,
)

__all__ = [
    "GELU",
    "SSM",
    "Add",
    "Affine",
    "BatchNorm",
    "Embedding",
    "Graph",
    "Input",
    "LayerNorm",
    "Linear",
    "Mean",
    "Node",
    "PiecewiseLinear",
    "Product",
    "Sigmoid",
    "Spike",
    "Ternary",
]
