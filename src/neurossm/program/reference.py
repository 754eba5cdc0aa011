"""The reference engine: every operation, every step, in NumPy integers. It is the definition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.graph.sequences import Sequences, longest_first, spans
from neurossm.program.arithmetic import Tally
from neurossm.program.readout import Readout
from neurossm.program.running import Kept, Run, check_countable
from neurossm.program.source import Input
from neurossm.progress import Meter, Progress

if TYPE_CHECKING:
    from neurossm.program.program import Program
    from neurossm.program.recording import Recording

_States = dict[str, dict[str, IntArray]]


def run(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] = (),
    progress: Progress | None = None,
    count: Iterable[str] = (),
    lengths: IntArray | None = None,
) -> Run:
    """Run samples through a program, one step at a time, as `neurossm.registry.run` says.

    A sample that has ended leaves the batch, and its states with it.
    """
    x = program.encode(data)
    kept = Kept(program, record, x.shape)
    counted = check_countable(program, count)
    steps = Sequences(x, lengths).steps
    order = longest_first(steps)
    tally = Tally()
    states = {op.name: op.start(len(x)) for op in program.ops}
    nonzeros = {name: np.zeros((len(x), program[name].out.channels), np.int64) for name in counted}
    source, pooled = program.readout.inputs[0], program.readout.pooled(steps, x.shape[1])
    meter = Meter(progress, "running", steps.sum())
    for t, _, running in spans(steps[order], 1):
        who = order[:running]
        values = _step(program, x[who, t], states, running, tally)
        pooled.add(who, t, values[source][:, None])
        for name in kept.names:
            kept.tensors[name][who, t] = _value(program.recordings[name], values, states)
        for name in counted:
            nonzeros[name][who] += values[name] != 0
        meter.add(running)
    logits = pooled.logits()
    return Run(logits, dict(tally + pooled.tally), kept.tensors, nonzeros, pooled.totals)


def _step(
    program: Program, x: IntArray, states: _States, running: int, tally: Tally
) -> dict[str, IntArray]:
    """Return all tensors at one step x (running, C), and advance the states of those samples."""
    values: dict[str, IntArray] = {}
    for op in program.ops:
        if isinstance(op, Readout):
            continue
        inputs = (x,) if isinstance(op, Input) else tuple(values[name] for name in op.inputs)
        before = {name: state[:running] for name, state in states[op.name].items()}
        states[op.name], values[op.name] = op.step(before, *inputs, tally=tally)
    return values


def _value(recording: Recording, values: dict[str, IntArray], states: _States) -> IntArray:
    op, state = recording.op, recording.state
    return values[op.name] if state is None else states[op.name][state.name]
