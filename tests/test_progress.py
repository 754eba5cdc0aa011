"""Every function that takes a `progress` tells it the same: what, how much is done, of how much."""

from __future__ import annotations

from itertools import groupby
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import neurossm
from neurossm import registry
from neurossm.graph.evaluate import evaluate
from neurossm.progress import Meter
from neurossm.trace import write_trace
from neurossm.tuning import TuneOptions

SAMPLES, STEPS = 12, 20
ALL = SAMPLES * STEPS


@pytest.fixture(scope="module")
def case(networks: ModuleType) -> dict[str, Any]:
    graph = networks.random_graph(2, channels=4, modes=2, blocks=1)
    data = networks.random_data(graph.input, 0, batch=SAMPLES, steps=STEPS)
    return {"graph": graph, "program": neurossm.compile_model(graph), "data": data}


def told_by(function: Any, *arguments: Any, **named: Any) -> dict[str, list[tuple[int, int]]]:
    """Return what was told, by what was done; of what was done again, the last time."""
    told: list[tuple[str, int, int]] = []
    function(*arguments, **named, progress=lambda *one: told.append(one))
    parts = [(what, [one[1:] for one in ones]) for what, ones in groupby(told, lambda one: one[0])]
    for _, counts in parts:
        assert counts == sorted(counts)
        assert len({total for _, total in counts}) == 1
    return dict(parts)


def test_where_samples_run_a_unit_is_a_time_step_of_a_sample(
    case: dict[str, Any], tmp_path: Any
) -> None:
    program, data = case["program"], case["data"]
    last = {what: told[-1] for what, told in told_by(evaluate, case["graph"], data).items()}
    assert last == {"evaluating": (ALL, ALL)}
    for engine in ("reference", "fast"):
        assert told_by(registry.run, program, data, engine)["running"][-1] == (ALL, ALL)
    told = told_by(write_trace, tmp_path / "trace.h5", program, data)
    assert told["running"][-1] == (ALL, ALL)
    assert told_by(neurossm.verify, program, data)["verifying"][-1] == (ALL, ALL)
    assert told_by(neurossm.profile, program, data)["counting"][-1] == (ALL, ALL)
    told = told_by(neurossm.report, program, data, path=tmp_path / "page.html")
    assert {what: ones[-1] for what, ones in told.items()} == {
        "verifying": (ALL, ALL),
        "counting": (ALL, ALL),
    }
    options = neurossm.CompileOptions(scaling="calibrated")
    told = told_by(neurossm.compile_model, case["graph"], options=options, calibration=data)
    assert told["calibrating"][-1] == (ALL, ALL)


def test_a_search_tells_its_parts(case: dict[str, Any]) -> None:
    settings = TuneOptions(1.0, samples=6, only=("weight",), trim=False)
    told = told_by(neurossm.tune, case["graph"], case["data"], settings=settings)
    assert list(told)[:2] == ["evaluating", "scanning groups"]
    assert told["evaluating"][-1] == (6 * STEPS, 6 * STEPS)
    assert told["scanning groups"][-1] == (2, 2)
    assert "confirming" in told


def test_a_meter_without_a_listener_counts_for_nobody() -> None:
    meter = Meter(None, "nothing", 3)
    meter.add(2)
    told: list[tuple[str, int, int]] = []
    meter = Meter(lambda *one: told.append(one), "something", np.int64(3))
    meter.add()
    meter.add(2)
    assert told == [("something", 1, 3), ("something", 3, 3)]
