"""Evaluate a float graph in float64, whole sequences at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import FloatArray, as_names
from neurossm.errors import InputError
from neurossm.graph.data import check_data
from neurossm.graph.graph import Graph
from neurossm.graph.source import InputNode
from neurossm.progress import Meter, Progress
from neurossm.threads import in_threads

_CHUNK_VALUES = 100_000
"""Samples are evaluated in groups of about this many values per tensor, a thread each: 0.8 MB, for
which no fresh memory is asked of the system at every node."""


def evaluate(
    graph: Graph,
    data: ArrayLike,
    record: Iterable[str] = (),
    progress: Progress | None = None,
) -> dict[str, FloatArray]:
    """Run samples through a graph, on all cores.

    Parameters
    ----------
    graph
        The network.
    data
        (B, L, size), or (B, L) for tokens and single-channel inputs; of the input's declared kind.
    record
        Names of tensors wanted besides the output.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.

    Returns
    -------
    dict
        The output tensor under its node's name, and every recorded tensor: (B, L, channels).

    Raises
    ------
    InputError
        The data do not suit the input, or a recorded name is unknown.
    """
    x = check_data(graph.input, data)
    wanted = [*dict.fromkeys([*as_names(record, "record"), graph.output.name])]
    known = {node.name for node in graph.nodes}
    for name in wanted:
        if name not in known:
            raise InputError(f"record: the graph has no tensor {name!r}")
    group = max(1, _CHUNK_VALUES // (x.shape[1] * max(graph.channels().values())))
    pieces = [x[start : start + group] for start in range(0, len(x), group)]
    parts: dict[str, list[FloatArray]] = {name: [] for name in wanted}
    meter = Meter(progress, "evaluating", x.shape[0] * x.shape[1])
    for piece, values in zip(
        pieces, in_threads(GraphEvaluator(graph, wanted), pieces), strict=True
    ):
        for name in wanted:
            parts[name].append(values[name])
        meter.add(piece.shape[0] * piece.shape[1])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


class GraphEvaluator:
    """A graph made ready for many calls; safe to call from several threads.

    Parameters
    ----------
    graph
        The network.
    record
        Names of tensors wanted besides the output; those that the graph lacks are left out.
    """

    def __init__(self, graph: Graph, record: Iterable[str] = ()) -> None:
        self.graph = graph
        self.record = frozenset((*record, graph.output.name))
        self._last_reader = {name: node.name for node in graph.nodes for name in node.inputs}

    def __call__(self, data: NDArray[np.generic]) -> dict[str, FloatArray]:
        """Return the recorded tensors (B, L, C) and the output of checked data (B, L, C)."""
        values: dict[str, Any] = {}
        for node in self.graph.nodes:
            known = [values[name] for name in node.inputs]
            inputs: list[Any] = [data] if isinstance(node, InputNode) else known
            values[node.name] = node.apply(*inputs)
            for name in set(node.inputs):
                if self._last_reader[name] == node.name and name not in self.record:
                    del values[name]
        return {name: value for name, value in values.items() if name in self.record}
