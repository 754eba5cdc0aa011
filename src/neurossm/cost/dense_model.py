"""The same network as a dense float model: its cost without spikes and without integers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from neurossm.graph import Graph


@dataclass(frozen=True)
class DenseModel:
    """Operations of the float model per sample, in float32, every product made.

    They are whole numbers unless the samples differ in length: then they are means.

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

    linear_macs: float
    state_macs: float
    elementwise_macs: float
    functions: float

    @property
    def total_macs(self) -> float:
        """All multiply-accumulates."""
        return self.linear_macs + self.state_macs + self.elementwise_macs


def dense_model(graph: Graph, steps: float) -> DenseModel:
    """Count the float operations of a graph for one sample of so many steps, or a mean sample."""
    totals: dict[str, float] = defaultdict(float)
    sizes = graph.channels()
    once: set[str] = set()  # what is computed once per sample
    for node in graph.nodes:
        times: float = steps
        if not once.isdisjoint(node.inputs):
            times = 1
        if times == 1 or node.time == "ended":
            once.add(node.name)
        for kind, count in vars(node.work(sizes[node.name])).items():
            totals[kind] += count * times
    return DenseModel(
        linear_macs=totals["linear"],
        state_macs=totals["state"],
        elementwise_macs=totals["elementwise"],
        functions=totals["functions"],
    )
