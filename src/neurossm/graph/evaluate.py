"""Evaluate a float graph in float64, whole sequences at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import FloatArray, as_names
from neurossm.errors import InputError
from neurossm.graph.data import check_sequences
from neurossm.graph.graph import Graph
from neurossm.graph.sequences import Sequences
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
    lengths: ArrayLike | None = None,
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
    lengths
        (B) valid steps of each sample, 1 to L; all L by default.

    Returns
    -------
    dict
        The output tensor under its node's name, and every recorded tensor: (B, L, channels), 0
        after a sample's end.

    Raises
    ------
    InputError
        The data do not suit the input, or a recorded name is unknown.
    """
    samples = check_sequences(graph.input, data, lengths)
    wanted = [*dict.fromkeys([*as_names(record, "record"), graph.output.name])]
    known = {node.name for node in graph.nodes}
    for name in wanted:
        if name not in known:
            raise InputError(f"record: the graph has no tensor {name!r}")
    group = max(1, _CHUNK_VALUES // (samples.x.shape[1] * max(graph.channels().values())))
    parts, pieces = zip(*samples.whole(group), strict=True)
    found: dict[str, FloatArray] = {}
    meter = Meter(progress, "evaluating", samples.steps.sum())
    evaluated = in_threads(GraphEvaluator(graph, wanted), pieces)
    for part, piece, values in zip(parts, pieces, evaluated, strict=True):
        for name in wanted:
            _put(found, name, values[name], part, samples, timed=values[name].ndim > 2)
        meter.add(piece.shape[0] * piece.shape[1])
    return found


def _put(
    found: dict[str, FloatArray],
    name: str,
    values: FloatArray,
    part: slice,
    samples: Sequences,
    *,
    timed: bool,
) -> None:
    """Put the values of some samples in their place."""
    if name not in found:
        shape = (samples.x.shape[1], *values.shape[2:]) if timed else values.shape[1:]
        found[name] = np.zeros((len(samples), *shape), values.dtype)
    whole = found[name][part]
    if timed:
        whole = whole[:, : values.shape[1]]
    whole[...] = values


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
