"""A worker that the Lava tests share, and plans of single processes to run on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurossm import lava
from neurossm.lava import Worker
from neurossm.lava.job import Job
from neurossm.lava.plan import Plan, Stage, Wire
from neurossm.program import Program, Spike, Ternary, reference

Traces = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """One worker process for all tests that may share it."""
    with Worker() as running:
        yield running


@pytest.fixture(scope="session")
def chain() -> Callable[..., Plan]:
    """Plan a player and processes in a row behind it: (kind, settings, in port, out port)."""
    return _chain


def _chain(
    *links: tuple[str, dict[str, Any], str, str],
    tag: str = "fixed_pt",
    bits: int = 32,
) -> Plan:
    stages = [Stage("Player", "input", {"bits": bits}, {}, 0)]
    wire = Wire("input", "s_out")
    depth = 0
    for number, (kind, settings, in_port, out_port) in enumerate(links):
        name = f"{kind}.{number}"
        stages.append(Stage(kind, name, settings, {in_port: wire}, depth))
        wire = Wire(name, out_port)
        depth += kind == "Dense"
    return Plan(tuple(stages), tag)


@pytest.fixture
def play(worker: Worker, tmp_path: Path) -> Callable[..., Traces]:
    """Run a plan on data (steps, channels) in samples of `period` steps; return traced tensors.

    `wanted` gives (stage, role) and the shape and type of the file for each name.
    """

    def run(
        plan: Plan,
        data: np.ndarray,
        period: int,
        wanted: dict[str, tuple[str, str, tuple[int, ...], Any]],
    ) -> Traces:
        stages = list(plan.stages)
        traces = {}
        for name, (stage_name, role, shape, dtype) in wanted.items():
            (index,) = [i for i, stage in enumerate(stages) if stage.name == stage_name]
            stage = stages[index]
            roles = {**stage.roles, name: role}
            stages[index] = Stage(
                stage.kind, stage.name, stage.settings, stage.inputs, stage.depth, roles
            )
            traces[name] = tmp_path / f"{name}.npy"
            np.save(traces[name], np.zeros(shape, dtype))
        np.save(tmp_path / "data.npy", data)
        plan = Plan(tuple(stages), plan.tag)
        worker.execute(Job(plan, tmp_path / "data.npy", period, traces), timeout=60)
        return {name: np.load(path) for name, path in traces.items()}

    return run


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
