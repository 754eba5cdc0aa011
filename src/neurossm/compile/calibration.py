"""Calibration data: which samples decide what, and walks of a graph over them.

Thresholds, norms and the rounding of weights follow from means over time steps, which some 50,000
steps tell as well as a million: of more data a part is taken, chosen by a fixed seed and stated in
the program's provenance. Ranges of calibrated scaling are extremes, to which every sample may add:
they see all data, a few samples at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import FloatArray, IntArray
from neurossm.datafile import Data
from neurossm.graph import Graph
from neurossm.graph.data import check_sequences
from neurossm.graph.evaluate import evaluate
from neurossm.graph.sequences import Sequences
from neurossm.progress import Meter, Progress

STEPS = 50_000
"""So many time steps at least are used for means, where there are as many."""
LEAST_SAMPLES = 16
"""So many samples at least are used, however long they are."""
SEED = 0
_BATCH = 16
"""So many samples are evaluated at once at most."""
_VALUES = 1 << 27
"""So many values, 1 GiB, may the observed tensors of samples evaluated at once have; of one sample
that alone has more, they have what they have."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Data, and the part of them that decides what follows from means.

    Parameters
    ----------
    data
        Checked samples.
    chosen
        Numbers of the samples of that part, ascending.
    progress
        Told how far walks over the data are.
    """

    data: Sequences
    chosen: IntArray
    progress: Progress | None = None

    @staticmethod
    def of(graph: Graph, given: ArrayLike | Data, progress: Progress | None = None) -> Calibration:
        """Check data for a graph, and choose the part; InputError where they do not suit."""
        x, lengths = (given.x, given.lengths) if isinstance(given, Data) else (given, None)
        data = check_sequences(graph.input, x, lengths, "calibration data")
        count = min(len(data), max(LEAST_SAMPLES, -(-STEPS * len(data) // int(data.steps.sum()))))
        chosen = np.random.default_rng(SEED).permutation(len(data))[:count]
        return Calibration(data, np.sort(chosen), progress)

    @property
    def part(self) -> Sequences:
        """The samples that decide what follows from means."""
        return self.data if len(self.chosen) == len(self.data) else self.data[self.chosen]

    @property
    def rest(self) -> Sequences:
        """The other samples."""
        return self.data[np.delete(np.arange(len(self.data)), self.chosen)]

    def stated(self) -> dict[str, Any]:
        """Return what a program's provenance says of the data."""
        every = len(self.chosen) == len(self.data)
        return {
            "samples": len(self.data),
            "used": len(self.chosen),
            "seed": None if every else SEED,
        }


class Observer(Protocol):
    """Gathers something of a graph's tensors, batch by batch."""

    @property
    def names(self) -> Sequence[str]:
        """The tensors it wants."""

    def add(self, values: dict[str, FloatArray]) -> None:
        """Take the values (B, L, C) of a batch."""


def walk(
    graph: Graph,
    data: Sequences,
    observers: Sequence[Observer],
    meter: Meter | None = None,
) -> None:
    """Evaluate a graph on checked data once, and show every batch to all observers."""
    names = [name for observer in observers for name in observer.names]
    if not names:
        return
    last = max(i for i, node in enumerate(graph.nodes) if node.name in names)
    graph = graph.with_nodes(graph.nodes[: last + 1])
    channels = graph.channels()
    values_each = data.x.shape[1] * sum(channels[name] for name in dict.fromkeys(names))
    for _, x in data.whole(max(1, min(_BATCH, _VALUES // values_each))):
        values = evaluate(graph, x, names)
        for observer in observers:
            observer.add(values)
        if meter is not None:
            meter.add(x.shape[0] * x.shape[1])
