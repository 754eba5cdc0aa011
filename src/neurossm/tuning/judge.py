"""How much a program differs from the float model, on a fixed set of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from neurossm.arrays import FloatArray, IntArray
from neurossm.graph import Graph
from neurossm.graph.evaluate import evaluate
from neurossm.graph.sequences import Sequences
from neurossm.hw_profiles import Profile
from neurossm.parity.statistics import PairedComparison, compare_paired
from neurossm.place.groups import neuron_groups
from neurossm.program import Program
from neurossm.progress import Progress
from neurossm.registry import DEFAULT_ENGINE, run


@dataclass(frozen=True)
class Score:
    """A program against the float model.

    Parameters
    ----------
    size_bytes
        States, parameters and synapses, see `size_bytes`.
    agreement
        Share of samples with the float model's prediction (0 to 1).
    distance
        Half the sum of the absolute differences of the class probabilities, averaged over the
        samples: 0 for equal logits, 1 at most. It changes smoothly where `agreement` leaps.
    paired
        Accuracy of the program less that of the float model; without labels, the float model's
        predictions count as right.
    """

    size_bytes: int
    agreement: float
    distance: float
    paired: PairedComparison

    @property
    def drop(self) -> float:
        """Accuracy lost (0 to 1); negative where the program is better."""
        return 0.0 - self.paired.difference


class Judge:
    """Scores programs on the same samples.

    Parameters
    ----------
    graph
        The trained network, evaluated in float64.
    profile
        The target, whose accounting of bytes is used.
    data
        Checked samples.
    labels
        (samples), or None.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    engine
        What runs the programs.
    """

    def __init__(
        self,
        graph: Graph,
        profile: Profile,
        data: Sequences,
        labels: IntArray | None,
        progress: Progress | None = None,
        engine: str = DEFAULT_ENGINE,
    ) -> None:
        self.data, self.engine = data, engine
        self.accumulator_bits = profile.compile_limits().accumulator_bits
        logits = evaluate(graph, data.x, (), progress, data.lengths)[graph.output.name]
        rows = self._answers(logits)
        self.chances: FloatArray = special.softmax(rows, axis=1)
        self.top: IntArray = rows.argmax(axis=1)
        wanted = labels if labels is None or labels.ndim == 1 else data.joined(labels)
        self.labels = self.top if wanted is None else wanted

    def _answers(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Return one row of logits for each sample, or for each of its steps."""
        return self.data.joined(logits) if logits.ndim > 2 else logits

    @property
    def accuracy(self) -> float:
        """Accuracy of the float model."""
        return float((self.top == self.labels).mean())

    def score(self, program: Program) -> Score:
        """Run the samples through a program and compare."""
        ran = run(program, self.data.x, self.engine, lengths=self.data.lengths)
        logits = self._answers(ran.logits)
        top = logits.argmax(axis=1)
        chances = special.softmax(program.readout.out.to_float(logits), axis=1)
        return Score(
            size_bytes(program, self.accumulator_bits),
            float((top == self.top).mean()),
            float(np.abs(chances - self.chances).sum(axis=1).mean() / 2),
            compare_paired(self.top == self.labels, top == self.labels),
        )


def size_bytes(program: Program, accumulator_bits: int) -> int:
    """Return the bytes of a program's states, parameters and synapses, as placement counts them.

    Tables are counted once per group of neurons; placement repeats them on every core of a group.
    """
    groups = neuron_groups(program, accumulator_bits)
    return sum(group.total_bytes for group in groups)
