"""The reference engine: every operation, every step, in NumPy integers. It is the definition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray, as_names
from neurossm.errors import InputError
from neurossm.program.arithmetic import Tally
from neurossm.program.readout import Readout
from neurossm.program.source import Input
from neurossm.progress import Meter, Progress

if TYPE_CHECKING:
    from neurossm.program.program import Program
    from neurossm.program.recording import Recording


@dataclass(frozen=True, eq=False)
class Run:
    """What an engine returns.

    Parameters
    ----------
    logits
        (B, classes) int64.
    saturations
        Integers clipped, by tensor ("NAME:state" for states); empty when there were none.
    tensors
        Recorded tensors, (B, L, C) int64; the states "NAME:state_re" of an SSM are (B, L, H, N).
    nonzeros
        How many steps a counted tensor was not 0, (B, C) int64.
    totals
        What the readout sums over time, (B, H) int64.
    """

    logits: IntArray
    saturations: dict[str, int] = field(default_factory=dict)
    tensors: dict[str, IntArray] = field(default_factory=dict)
    nonzeros: dict[str, IntArray] = field(default_factory=dict)
    totals: IntArray = field(default_factory=lambda: np.zeros((0, 0), np.int64))


def run(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] = (),
    progress: Progress | None = None,
    count: Iterable[str] = (),
) -> Run:
    """Run samples through a program, one step at a time.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel.
    record
        Tensors to keep for every step.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    count
        Tensors whose nonzero integers to count.

    Raises
    ------
    InputError
        Data that do not suit the input, more steps than `max_steps`, an unknown name to record.
    """
    x = program.encode(data)
    names = check_recordable(program, record)
    counted = check_countable(program, count)
    batch, length = x.shape[:2]
    tally = Tally()
    states = {op.name: op.start(batch) for op in program.ops}
    kept: dict[str, list[IntArray]] = {name: [] for name in names}
    nonzeros = {name: np.zeros((batch, program[name].out.channels), np.int64) for name in counted}
    readout = program.readout
    meter = Meter(progress, "running", batch * length)
    for t in range(length):
        values: dict[str, IntArray] = {}
        for op in program.ops:
            if isinstance(op, Readout):
                continue
            inputs = (x[:, t],) if isinstance(op, Input) else [values[name] for name in op.inputs]
            states[op.name], values[op.name] = op.step(states[op.name], *inputs, tally=tally)
        states[readout.name] = readout.accumulate(states[readout.name], values[readout.inputs[0]])
        for name in names:
            kept[name].append(_value(program.recordings[name], values, states))
        for name in counted:
            nonzeros[name] += values[name] != 0
        meter.add(batch)
    total = states[readout.name]["sum"]
    logits = readout.decode(total, length, tally)
    tensors = {name: np.stack(steps, axis=1) for name, steps in kept.items()}
    return Run(logits, dict(tally), tensors, nonzeros, total)


def check_recordable(program: Program, record: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, or refuse one the program does not have."""
    names = as_names(record, "record")
    for name in names:
        if name not in program.recordings:
            raise InputError(f"record: the program has no tensor {name!r}")
    return names


def check_countable(program: Program, count: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, or refuse one that is no operation's output."""
    names = as_names(count, "count")
    for name in names:
        if name not in program.recordings or program.recordings[name].state is not None:
            raise InputError(f"count: the program has no operation {name!r}")
    return names


def _value(
    recording: Recording, values: dict[str, IntArray], states: dict[str, dict[str, IntArray]]
) -> IntArray:
    op, state = recording.op, recording.state
    return values[op.name] if state is None else states[op.name][state.name]
