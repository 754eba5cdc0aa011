"""Evaluate a graph node by node on calibration data; a node may be replaced before its turn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.compile.norm_statistics import Moments
from neurossm.graph import Graph, InputNode, Node
from neurossm.graph.sequences import Sequences
from neurossm.threads import in_threads

_STEPS = 8_000
"""About so many time steps are kept to judge thresholds."""
_PIECE_VALUES = 100_000
"""Samples are evaluated in pieces of about this many values per tensor, a thread each."""


@dataclass
class Watched:
    """A tensor on data: moments and largest magnitudes of all steps, and the values of some."""

    moments: Moments = field(default_factory=Moments)
    largest: list[FloatArray] = field(default_factory=list)  # (steps,) each
    kept: list[FloatArray] = field(default_factory=list)  # (steps, H) each

    @property
    def values(self) -> FloatArray:
        """The values that were kept, (steps, H)."""
        return np.concatenate(self.kept)


class Frontier:
    """Evaluates a graph node by node on all data, and keeps what nodes to come read.

    Tensors are lists of pieces of a few samples: small ones, for which the system need not be
    asked for memory.
    """

    def __init__(self, graph: Graph, data: Sequences) -> None:
        self.samples = len(data)
        self._last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
        longest = data.x.shape[1]
        group = max(1, _PIECE_VALUES // (longest * max(graph.channels().values())))
        self._data = [x for _, x in data.whole(group)]
        self._every = _every(int(data.steps.sum()), longest)
        self._values: dict[str, list[FloatArray]] = {}

    def take(self, node: Node) -> None:
        """Compute the next node's tensor; the node may be another than the graph's."""
        known = [self._values[name] for name in node.inputs]
        inputs: list[Any] = [self._data] if isinstance(node, InputNode) else known
        pieces = zip(*inputs, strict=True)
        self._values[node.name] = list(in_threads(lambda piece: node.apply(*piece), pieces))
        for name in set(node.inputs):
            if self._last_reader[name] == node.name:
                del self._values[name]

    def pieces(self, name: str) -> list[FloatArray]:
        """Return the pieces (b, L, H) of a tensor that some node to come reads."""
        return self._values[name]

    def watch(self, name: str, *, moments: bool = False, steps: bool = False) -> Watched:
        """Return the moments of a tensor, or its largest magnitudes and the values of some steps.

        Of every so many steps one is kept, counted through all samples.
        """
        watched, passed = Watched(), 0
        for piece in self._values[name]:
            rows = piece.reshape(-1, piece.shape[-1])  # (steps, H)
            if moments:
                watched.moments.add(rows)
            if steps:
                watched.largest.append(np.maximum(rows.max(axis=-1), -rows.min(axis=-1)))
                watched.kept.append(rows[-passed % self._every :: self._every].copy())
            passed += len(rows)
        return watched


def _every(total: int, longest: int) -> int:
    """Return which share of the steps is kept: one in so many, in turn at every place of a sample.

    The least number for about `_STEPS` that has no factor in common with a sample's steps.
    """
    every = -(-total // _STEPS)
    while math.gcd(every, longest) > 1:
        every += 1
    return every
