"""How often each tensor is not zero when real samples run: all that the counts depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import IntArray
from neurossm.graph.data import check_sequences
from neurossm.graph.sequences import Sequences
from neurossm.place.neurons import sent_tensors
from neurossm.program import Program
from neurossm.progress import Meter, Progress
from neurossm.registry import DEFAULT_ENGINE, run

GROUP_SAMPLES = 128
"""Samples that run together: enough to keep all cores busy, few enough for steady progress."""


@dataclass(frozen=True, eq=False)
class Activity:
    """What a program did on some samples.

    Parameters
    ----------
    samples, total_steps
        How many samples, and the steps of all of them.
    nonzero
        For each tensor that neurons send, and the input: steps at which a channel was not zero,
        (C), over all samples.
    tokens
        How often each token came, (V); None without an embedding.
    nonzero_sums
        Samples in which the readout's sum of a channel was not zero, (H).
    """

    samples: int
    total_steps: int
    nonzero: Mapping[str, IntArray]
    tokens: IntArray | None
    nonzero_sums: IntArray

    @property
    def steps(self) -> float:
        """Steps of a sample; of the mean one, where they differ."""
        whole, rest = divmod(self.total_steps, self.samples)
        return self.total_steps / self.samples if rest else whole

    def rate(self, tensor: str) -> float:
        """Return the share of a tensor's integers that are not zero."""
        counts = self.nonzero[tensor]
        return float(counts.sum() / (self.total_steps * counts.size))


def observe(
    program: Program,
    data: ArrayLike,
    engine: str = DEFAULT_ENGINE,
    progress: Progress | None = None,
    lengths: ArrayLike | None = None,
) -> Activity:
    """Run samples and count where tensors are not zero.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel.
    engine
        What runs it; the counts are the same for all.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    lengths
        (B) valid steps of each sample, all that are counted; L by default.

    Raises
    ------
    InputError
        The data do not suit the program.
    """
    readout = program.readout
    read = set(readout.inputs) if readout.streams else set()
    names = tuple(sorted((sent_tensors(program) - {program.input.name}) | read))
    totals = {name: np.zeros(program[name].out.channels, np.int64) for name in names}
    sums = np.zeros(program.readout.weight.shape[1], np.int64)
    samples = check_sequences(program.input, data, lengths)
    meter = Meter(progress, "counting", samples.steps.sum())
    for start in range(0, len(samples), GROUP_SAMPLES):
        part = samples[start : start + GROUP_SAMPLES]
        result = run(program, part.x, engine=engine, count=names, lengths=part.lengths)
        for name in names:
            totals[name] += result.nonzeros[name].sum(axis=0)
        if readout.streams:  # every step is decoded
            sums += result.nonzeros[readout.inputs[0]].sum(axis=0)
        else:
            sums += np.count_nonzero(result.totals, axis=0)
        meter.add(part.steps.sum())
    return _activity(program, samples, totals, sums)


def _activity(
    program: Program,
    samples: Sequences,
    nonzero: dict[str, IntArray],
    nonzero_sums: IntArray,
) -> Activity:
    source = program.input
    tokens = None
    inputs = np.zeros(source.out.channels, np.int64)
    if source.kind == "tokens":
        sent = samples.joined(samples.x).astype(np.int64)
        tokens = np.bincount(sent.ravel(), minlength=source.size)
        inputs[:] = sent.size  # a token is always sent
    else:
        for start in range(0, len(samples), 256):  # encoded data are eight times as large
            part = samples[start : start + 256]
            inputs += np.count_nonzero(part.joined(program.encode(part.x)), axis=0)
    return Activity(
        samples=len(samples),
        total_steps=int(samples.steps.sum()),
        nonzero={source.name: inputs, **nonzero},
        tokens=tokens,
        nonzero_sums=nonzero_sums,
    )
