"""The shipped Binary S4D on the first 1,000 test digits: integers against PyTorch's parameters.

The trained graph in float64 and both programs run freely; nothing of `neurossm.parity` is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurossm import compile_model
from neurossm.compile import CompileOptions
from neurossm.graph.evaluate import evaluate
from neurossm.models.export import export

FOLDER = Path(__file__).parents[2] / "examples" / "smnist"
DIGITS = 1000
GROUP = 50
SPIKES = tuple(f"blocks.{i}.spike" for i in range(4))
LEAST = {"proved": 0.99, "calibrated": 0.99}


@pytest.mark.slow
def test_fixed_against_float_on_1000_digits(say: Callable[[str], None]) -> None:
    with np.load(FOLDER / "mnist_test.npz") as data:
        x, y = data["x"][:DIGITS], data["y"][:DIGITS]
    graph = export(FOLDER / "binary_s4d.pt")
    programs = {
        scaling: compile_model(FOLDER / "binary_s4d.pt", options=CompileOptions(scaling=scaling))
        for scaling in LEAST
    }
    top = {name: [] for name in ("float", *LEAST)}
    equal = {scaling: np.zeros(len(SPIKES), dtype=np.int64) for scaling in LEAST}
    saturated = dict.fromkeys(LEAST, 0)
    for start in range(0, DIGITS, GROUP):
        group = x[start : start + GROUP]
        floats = evaluate(graph, group, SPIKES)
        top["float"].append(floats[graph.output.name].argmax(axis=-1))
        for scaling, program in programs.items():
            run = program.run(group, record=SPIKES)
            top[scaling].append(run.logits.argmax(axis=1))
            equal[scaling] += [
                np.count_nonzero(run.tensors[name] == floats[name]) for name in SPIKES
            ]
            saturated[scaling] += sum(run.saturations.values())
    chosen = {name: np.concatenate(parts) for name, parts in top.items()}
    accuracy = {name: float(np.mean(found == y)) for name, found in chosen.items()}
    for scaling, least in LEAST.items():
        share = equal[scaling] / (DIGITS * 784 * 128)
        same = float(np.mean(chosen[scaling] == chosen["float"]))
        say(
            f"{scaling}, {DIGITS} digits: accuracy {accuracy[scaling]:.4f} "
            f"(float {accuracy['float']:.4f}), top-1 {same:.4f}, "
            f"spikes equal {np.round(share, 4)}, {saturated[scaling]} clipped"
        )
        assert abs(accuracy[scaling] - accuracy["float"]) <= 0.003
        assert same >= 0.995
        assert (share >= least).all()
    assert accuracy["float"] >= 0.99
    assert saturated["proved"] == 0
