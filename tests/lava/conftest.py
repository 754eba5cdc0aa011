"""A worker that the Lava tests share, and plans of single processes to run on it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurossm import lava
from neurossm.graph import nodes
from neurossm.lava import Worker
from neurossm.lava.job import Job
from neurossm.lava.plan import Plan, Stage, Wire
from neurossm.lava.unit import recordable, unit_of
from neurossm.program import (
    Add,
    Embedding,
    Input,
    Program,
    Readout,
    Spike,
    Ternary,
    reference,
    unchecked,
)

Traces = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """One worker process for all tests that may share it."""
    with Worker() as running:
        yield running


Link = Any
"""Members of one process: a matrix, a readout, or what a neuron computes."""


@pytest.fixture(scope="session")
def chain() -> Callable[..., Plan]:
    """Plan a player and processes in a row behind it; the first reads "input"."""
    return _chain


def _chain(
    *links: Link,
    tag: str = "fixed_pt",
    bits: int = 32,
    channels: int = 1,
    message_bits: int = 32,
) -> Plan:
    """Make a plan; the input has so many channels of so many bits.

    Matrices take their messages for integers of `message_bits`.
    """
    out = unchecked(bits, 0, channels)
    source = Input("input", (), out, kind="float", size=channels, low=-1.0, high=1.0)
    start = Stage("Player", "input", (source,), {}, 0, recorded={"input": (channels,)})
    stages, wire, depth = [start], Wire("input", "s_out"), 0
    for link in links:
        stage = _stage(tuple(link), wire, depth, channels, message_bits)
        stages.append(stage)
        port = [*stage.unit.outlets][-1] if stage.unit else "a_out"
        wire = Wire(stage.name, port)
        depth += stage.kind == "Dense"
        if stage.kind == "Dense":
            channels = len(link[0].weight)
        elif stage.unit:
            channels = stage.unit.channels[stage.unit.outlets[port]]
    return Plan(tuple(stages), tag)


def _stage(
    members: tuple[Any, ...], wire: Wire, depth: int, channels: int, message_bits: int
) -> Stage:
    first = members[0]
    if isinstance(first, Readout | nodes.MeanNode):
        recorded = {first.inputs[0]: (channels,)}
        wires = {"a_in": wire}
        return Stage("Readout", first.name, members, wires, depth, recorded=recorded)
    if hasattr(first, "weight") and not isinstance(first, Embedding | nodes.EmbeddingNode):
        wires = {"s_in": wire}
        return Stage("Dense", first.name, members, wires, depth, message_bits=message_bits)
    unit = unit_of(members, channels=channels)
    return Stage(
        "Neuron", first.name, members, {"a_in": wire}, depth, unit=unit, recorded=recordable(unit)
    )


@pytest.fixture
def play(worker: Worker, tmp_path: Path) -> Callable[..., Traces]:
    """Run a plan on data (steps, channels) in samples of `period` steps; return traced tensors.

    `wanted` gives the shape at one step for each.
    """

    def run(
        plan: Plan, data: np.ndarray, period: int, wanted: dict[str, tuple[int, ...]]
    ) -> Traces:
        dtype = np.int64 if plan.tag == "fixed_pt" else np.float64
        traces = {name: tmp_path / f"{number}.npy" for number, name in enumerate(wanted)}
        for name, shape in wanted.items():
            rows = (
                len(data) // period
                if name == plan.output and plan.readout.kind == "Readout"
                else len(data)
            )
            np.save(traces[name], np.zeros((rows, *shape), dtype))
        np.save(tmp_path / "data.npy", data)
        worker.execute(Job(plan, tmp_path / "data.npy", period, traces), timeout=60)
        return {name: np.load(path) for name, path in traces.items()}

    return run


@pytest.fixture(scope="session")
def stepping() -> ModuleType:
    """Models without Lava's runtime."""
    spec = importlib.util.spec_from_file_location("stepping", Path(__file__).parent / "stepping.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def skipping() -> Callable[[Program], Program]:
    """Let the last residual of a program come from its encoder, several matrices before."""

    def skip(program: Program) -> Program:
        last = [op for op in program.ops if isinstance(op, Add)][-1]
        names = tuple("encoder" if isinstance(program[n], Add) else n for n in last.inputs)
        changed = replace(last, inputs=names)
        return program.with_ops(changed if op is last else op for op in program.ops)

    return skip


@pytest.fixture(scope="session")
def new_tally(say: Callable[[str], None]) -> Callable[[], Tally]:
    """Begin to compare Lava with the reference: `new_tally().compare(program, data, worker)`."""
    return lambda: Tally(say)


class Tally:
    """What has been compared so far."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.programs: Counter[str] = Counter()
        self.integers: Counter[str] = Counter()
        self.rates: list[float] = []
        self.minus_ones = 0

    def compare(self, program: Program, data: np.ndarray, worker: Worker) -> None:
        """Compare every tensor, every state, every logit and every count of saturations."""
        names = tuple(program.recordings)
        expected = reference.run(program, data, record=names)
        got = lava.run(program, data, record=names, worker=worker, timeout=120)
        for name in names:
            kind = "state" if ":state_" in name else type(program[name]).__name__
            assert got.tensors[name].shape == expected.tensors[name].shape, name
            differ = int(np.count_nonzero(got.tensors[name] != expected.tensors[name]))
            assert differ == 0, f"{name}: {differ} of {expected.tensors[name].size} differ"
            self.integers[kind] += expected.tensors[name].size
        assert np.array_equal(got.logits, expected.logits)
        assert got.logits.dtype == np.int64
        assert got.saturations == expected.saturations
        self.integers["Readout"] += expected.logits.size
        self.programs["all"] += 1
        self.programs["saturating"] += bool(expected.saturations)
        self.programs["negative exponents"] += any(
            (op.out.exponent < 0).any() for op in program.ops
        )
        for op in program.ops:
            if isinstance(op, (Spike, Ternary)):
                spikes = expected.tensors[op.name]
                self.rates.append(float(np.abs(spikes).mean()))
                self.minus_ones += int((spikes == -1).sum())

    def report(self, title: str) -> int:
        """Say how many integers of which operation were compared; return how many layers fire."""
        rates = np.array(self.rates)
        between = int(((rates >= 0.01) & (rates <= 0.99)).sum())
        text = (
            f"{title}: {sum(self.integers.values()):,} integers equal in "
            f"{self.programs['all']} programs, {dict(self.integers)}; "
            f"{self.programs['saturating']} saturate, "
            f"{self.programs['negative exponents']} have negative exponents; "
            f"{between} of {rates.size} layers fire between 1 and 99 %, "
            f"{self.minus_ones} spikes are -1"
        )
        self.say(text)
        return between
