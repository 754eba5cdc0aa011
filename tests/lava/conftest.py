"""A worker that the Lava tests share, and plans of single processes to run on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurossm.lava import Worker
from neurossm.lava.plan import Plan, Stage, Wire
from neurossm.lava.worker import Job

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
