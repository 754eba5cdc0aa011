"""The float graph: one frozen dataclass per node type, shape checks, evaluation, HDF5."""

from neurossm.graph import nodes as _nodes
from neurossm.graph.graph import Graph
from neurossm.graph.nodes import *  # noqa: F403 - every node has its line there

__all__ = ["Graph", *_nodes.__all__]
