"""The same network as a dense float model: its cost without spikes and without integers."""

from __future__ import annotations

from dataclasses import dataclass

from neurossm.graph import (
    GELU,
    SSM,
    Add,
    Affine,
    BatchNorm,
    Embedding,
    Graph,
    Input,
    LayerNorm,
    Linear,
    Mean,
    PiecewiseLinear,
    Product,
    Sigmoid,
    Spike,
    Ternary,
)
from neurossm.graph.nodes import Node

MACS_PER_MODE = 6
"""Real multiply-accumulates of `A s` (4) and of `Re(C s)` (2); B is folded into C."""


@dataclass(frozen=True)
class DenseModel:
    """Operations of the float model per sample, in float32, every product made.

    Parameters
    ----------
    linear_macs
        Multiply-accumulates of linear layers.
    state_macs
        Those of the SSM recurrences and readouts.
    elementwise_macs
        Those of norms, gates, residuals, means: one per channel, and two for a LayerNorm's
        statistics.
    functions
        Evaluations of sigmoid and GELU, not among the MACs.
    """

    linear_macs: int
    state_macs: int
    elementwise_macs: int
    functions: int

    @property
    def total_macs(self) -> int:
        """All multiply-accumulates."""
        return self.linear_macs + self.state_macs + self.elementwise_macs


def dense_model(graph: Graph, steps: int) -> DenseModel:
    """Count the float operations of a graph for one sample of so many steps."""
    linear = state = elementwise = functions = 0
    sizes = graph.channels()
    after_mean = {node.name for node in graph.nodes if isinstance(node, Mean)}
    for node in graph.nodes:
        times = 1 if set(node.inputs) & after_mean else steps
        if times == 1 and not isinstance(node, Mean):
            after_mean.add(node.name)
        if isinstance(node, Linear):
            linear += node.weight.size * times
        elif isinstance(node, SSM):
            state += (MACS_PER_MODE * node.A_bar.size + node.D.size) * times
        elif isinstance(node, (Sigmoid, GELU, PiecewiseLinear)):
            functions += sizes[node.name] * times
        else:
            elementwise += _elementwise(node) * sizes[node.name] * times
    return DenseModel(linear, state, elementwise, functions)


def _elementwise(node: Node) -> int:
    """Return the multiply-accumulates per channel."""
    if isinstance(node, LayerNorm):
        return 3
    if isinstance(node, (BatchNorm, Affine, Product, Add, Mean)):
        return 1
    assert isinstance(node, (Input, Embedding, Spike, Ternary))
    return 0
