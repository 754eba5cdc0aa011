"""Engine against engine: equality of integers, and where they first differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import prod

import numpy as np
from numpy.typing import NDArray

from neurossm import registry
from neurossm.arrays import IntArray
from neurossm.parity.results import EngineResult, Mismatch
from neurossm.program import Program, Run

LOGITS = "logits"
MEMORY_BYTES = 1 << 28
"""Recorded integers of one engine held at once, as far as a single sample's tensor allows."""


@dataclass
class EngineParity:
    """Comparison of two engines in the making; see `EngineResult` for the fields."""

    a: str
    b: str
    compared: int = 0
    mismatches: int = 0
    samples_in_full: int = 0
    first_mismatch: str | None = None
    mismatch: Mismatch | None = None
    reproducer: str | None = None
    by_tensor: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        program: Program,
        first: Run,
        second: Run,
        names: Sequence[str],
        samples: IntArray,
        steps: IntArray,
    ) -> None:
        """Compare recorded tensors, or the logits, of samples with these numbers.

        What stands after a sample's `steps` is compared, but not counted as integers compared.
        """
        for name in names:
            one, two = values_of(first, name), values_of(second, name)
            whole = name == LOGITS and not program.readout.streams
            valid = one.size if whole else int(steps.sum()) * prod(one.shape[2:])
            self.by_tensor[name] = self.by_tensor.get(name, 0) + valid
            self.compared += valid
            if one.shape == two.shape:
                self.mismatches += int(np.count_nonzero(one != two))
            else:
                self.mismatches += max(one.size, two.size)
        if self.mismatches and self.first_mismatch is None:
            found = first_mismatch(program, first, second, names)
            if found is None:
                self.first_mismatch = f"{self.a} and {self.b} give tensors of different shapes"
            else:
                self.note(found, int(samples[found.sample]))

    def result(self) -> EngineResult:
        """Return what was found so far."""
        return EngineResult(**vars(self))

    def note(self, found: Mismatch, sample: int) -> None:
        """Keep where the engines differ, with the sample's number in the data."""
        self.mismatch = replace(found, sample=sample)
        self.first_mismatch = self.mismatch.sentence(self.a, self.b)


def values_of(run: Run, name: str) -> IntArray:
    """Return a recorded tensor, or the logits."""
    return run.logits if name == LOGITS else run.tensors[name]


def first_mismatch(
    program: Program, first: Run, second: Run, names: Sequence[str]
) -> Mismatch | None:
    """Return the first integer that differs: lowest sample, then step, then program order."""
    found: list[tuple[tuple[int, int, int], tuple[int, ...], str]] = []
    order = {name: position for position, name in enumerate(in_program_order(program))}
    for name in names:
        one, two = values_of(first, name), values_of(second, name)
        if one.shape != two.shape or (one == two).all():
            continue
        at = tuple(int(i) for i in np.argwhere(one != two)[0])
        step = np.iinfo(np.int64).max if name == LOGITS and len(at) == 2 else at[1]
        found.append(((at[0], int(step), order[name]), at, name))
    if not found:
        return None
    _, at, name = min(found)
    at_end = name == LOGITS and not program.readout.streams
    op = program.readout if name == LOGITS else program.recordings[name].op
    return Mismatch(
        operation=op.name,
        type=type(op).__name__,
        layer=op.layer,
        tensor=name,
        sample=at[0],
        step=-1 if at_end else at[1],
        index=at[1:] if at_end else at[2:],
        a=int(values_of(first, name)[at]),
        b=int(values_of(second, name)[at]),
    )


def in_program_order(program: Program) -> tuple[str, ...]:
    """Return every tensor that can be recorded, states before their SSM's output, then logits."""
    names: list[str] = []
    for op in program.ops[:-1]:
        names += [*(op.state_name(state) for state in op.states), op.name]
    return (*names, LOGITS)


def compared_tensors(program: Program) -> tuple[str, ...]:
    """Return every spike tensor and every tensor of the residual stream.

    The stream is what an operation that merges reads or writes, and what the readout sums.
    """
    stream = set(program.readout.inputs)
    for op in program.ops:
        if op.merges:
            stream |= {*op.inputs, op.name}
    return tuple(op.name for op in program.ops[1:-1] if op.emits == "spikes" or op.name in stream)


def in_batches(program: Program, names: Sequence[str], steps: int) -> Iterator[tuple[str, ...]]:
    """Split names so that one sample's recorded tensors of a batch fit `MEMORY_BYTES`."""
    batch: list[str] = []
    size = 0
    for name in names:
        needed = 8 * steps * int(np.prod(program.recordings[name].shape))
        if batch and size + needed > MEMORY_BYTES:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(name)
        size += needed
    yield tuple(batch)


def locate(program: Program, x: NDArray[np.generic], a: str, b: str) -> Mismatch | None:
    """Run samples on two engines with every tensor recorded; return the first mismatch."""
    steps = x.shape[1]
    names = [name for name in in_program_order(program) if name != LOGITS]
    found = []
    for batch in in_batches(program, names, len(x) * steps):
        one, two = (registry.run(program, x, engine, batch) for engine in (a, b))
        mismatch = first_mismatch(program, one, two, (*batch, LOGITS))
        if mismatch is not None:
            found.append(mismatch)
    return min(found, key=lambda m: (m.sample, m.step % (steps + 1)), default=None)


def pairs(engines: Sequence[str]) -> list[EngineParity]:
    """Return one comparison for each pair of engines."""
    return [EngineParity(a, b) for a, b in combinations(engines, 2)]
