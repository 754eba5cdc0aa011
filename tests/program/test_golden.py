"""Golden vectors: every engine and the naive interpreter give the integers in tests/golden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurossm import registry as engine
from neurossm.program import Program

FOLDER = Path(__file__).parents[1] / "golden"
CASES = sorted(path.stem for path in FOLDER.glob("*.h5"))


def vectors(case: str) -> dict[str, Any]:
    with np.load(FOLDER / f"{case}.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    parts = {"data": arrays.pop("data"), "logits": arrays.pop("logits")}
    arrays = {n.replace(".state", ":state"): v for n, v in arrays.items()}  # written so first
    tensors = {n.removeprefix("tensors/"): v for n, v in arrays.items() if n.startswith("tensors/")}
    counts = {
        n.removeprefix("saturations/"): int(v)
        for n, v in arrays.items()
        if n.startswith("saturations/")
    }
    assert len(tensors) + len(counts) == len(arrays)
    return {**parts, "tensors": tensors, "saturations": counts}


@pytest.mark.parametrize("name", ["reference", "fast"])
@pytest.mark.parametrize("case", CASES)
def test_engines(case, name):
    wanted = vectors(case)
    program = Program.load(FOLDER / f"{case}.h5")
    names = program.recordings
    assert set(wanted["tensors"]) == set(names)
    ran = engine.run(program, wanted["data"], name, record=names)
    for tensor in names:
        assert np.array_equal(ran.tensors[tensor], wanted["tensors"][tensor]), tensor
    assert np.array_equal(ran.logits, wanted["logits"])
    assert ran.saturations == wanted["saturations"]


@pytest.mark.parametrize("case", CASES)
def test_the_naive_interpreter(case, naive):
    wanted = vectors(case)
    machine = naive.Machine(naive.load(FOLDER / f"{case}.h5"))
    for sample, data in enumerate(wanted["data"]):
        logits, tensors = machine.run(data.tolist())
        for name, values in tensors.items():
            assert values == wanted["tensors"][name][sample].tolist(), name
        assert logits == wanted["logits"][sample].tolist()
    assert dict(machine.counts) == wanted["saturations"]


def test_the_cases_reach_every_operation_and_saturation():
    types: set[str] = set()
    saturated: set[str] = set()
    sizes: set[tuple[str, int]] = set()
    kinds: set[str] = set()
    for case in CASES:
        program = Program.load(FOLDER / f"{case}.h5")
        kinds.add(program.input.kind)
        types |= {type(op).__name__ for op in program.ops}
        sizes |= {(type(op).__name__, op.out.channels) for op in program.ops}
        for name in vectors(case)["saturations"]:
            state = name.endswith(":state")
            saturated.add("state" if state else type(program[name]).__name__)
    assert kinds == {"uint8", "tokens", "float", "counts"}
    assert types == {
        *("Input", "Dense", "Embedding", "Affine", "SSM", "Spike", "Ternary", "Table", "Product"),
        *("Add", "LayerNorm", "Readout", "Relu", "LIF", "PeakTernary"),
        *("AdLIF", "ResonateFire", "Softmax", "LastReadout", "MaxReadout"),
        "StreamReadout",
    }
    assert saturated == {
        *("Affine", "SSM", "state", "Table", "Product", "Add", "LayerNorm", "Readout", "Relu"),
        "LastReadout",
        "StreamReadout",
    }
    assert {("SSM", 1), ("Dense", 1), ("Readout", 1)} <= sizes


def test_every_vector_has_spikes_and_silence():
    for case in CASES:
        for name, values in vectors(case)["tensors"].items():
            if name.endswith(("spike", "ternary")):
                assert 0.02 < np.abs(values).mean() < 0.98, (case, name)
