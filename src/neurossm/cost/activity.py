"""How often each tensor is not zero when real samples run: all that the counts depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
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
    samples, steps
        How many samples, of how many steps each.
    nonzero
        For each tensor that neurons send, and the input: steps at which a channel was not zero,
        (C), over all samples.
    tokens
        How often each token came, (V); None without an embedding.
    nonzero_sums
        Samples in which the readout's sum of a channel was not zero, (H).
    """

    samples: int
    steps: int
    nonzero: Mapping[str, IntArray]
    tokens: IntArray | None
    nonzero_sums: IntArray

    def rate(self, tensor: str) -> float:
        """Return the share of a tensor's integers that are not zero."""
        counts = self.nonzero[tensor]
        return float(counts.sum() / (self.samples * self.steps * counts.size))


def observe(
    program: Program,
    data: NDArray[np.generic],
    engine: str = DEFAULT_ENGINE,
    progress: Progress | None = None,
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

    Raises
    ------
    InputError
        The data do not suit the program.
    """
    names = tuple(sorted(sent_tensors(program) - {program.input.name}))
    totals = {name: np.zeros(program[name].out.channels, np.int64) for name in names}
    sums = np.zeros(program.readout.weight.shape[1], np.int64)
    meter = Meter(progress, "counting", data.shape[0] * data.shape[1])
    for start in range(0, max(len(data), 1), GROUP_SAMPLES):
        part = data[start : start + GROUP_SAMPLES]
        result = run(program, part, engine=engine, count=names)
        for name in names:
            totals[name] += result.nonzeros[name].sum(axis=0)
        assert result.totals is not None
        sums += np.count_nonzero(result.totals, axis=0)
        meter.add(part.shape[0] * part.shape[1])
    return _activity(program, data, totals, sums)


def _activity(
    program: Program,
    data: NDArray[np.generic],
    nonzero: dict[str, IntArray],
    nonzero_sums: IntArray,
) -> Activity:
    source = program.input
    tokens = None
    inputs = np.zeros(source.out.channels, np.int64)
    if source.kind == "tokens":
        tokens = np.bincount(data.astype(np.int64).ravel(), minlength=source.size)
        inputs[:] = data.size  # a token is always sent
    else:
        for start in range(0, len(data), 256):  # encoded data are eight times as large
            encoded = program.encode(data[start : start + 256])
            inputs += np.count_nonzero(encoded, axis=(0, 1))
    return Activity(
        samples=data.shape[0],
        steps=data.shape[1],
        nonzero={source.name: inputs, **nonzero},
        tokens=tokens,
        nonzero_sums=nonzero_sums,
    )
