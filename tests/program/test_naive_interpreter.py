"""The reference equals an interpreter written from the specification, on random program files."""

from __future__ import annotations

import functools
from collections import Counter
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neurossm.program import Program
from neurossm.program.reference import run

SEEDS = range(24)


@functools.cache
def case(networks: ModuleType, seed: int) -> tuple[Program, NDArray[Any]]:
    rng = np.random.default_rng(1000 + seed)
    program = networks.random_program(
        seed,
        channels=int(rng.integers(1, 6)),
        modes=int(rng.integers(1, 5)),
        blocks=int(rng.integers(1, 4)),
        inputs=int(rng.integers(1, 4)),
        classes=int(rng.integers(1, 4)),
        kind=networks.KINDS[seed % 3],
        norm=networks.NORMS[seed // 3 % 3],
        mixer=networks.MIXERS[seed % 2],
        saturating=[0.0, 0.5][seed // 2 % 2],
    )
    return program, networks.random_data(program.input, seed, batch=2, steps=15)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_equals_the_specification(networks, naive, tmp_path, seed):
    program, data = case(networks, seed)
    program.save(tmp_path / "p.h5")
    machine = naive.Machine(naive.load(tmp_path / "p.h5"))
    results = [machine.run(sample.tolist()) for sample in data]
    names = program.recordings
    ran = run(Program.load(tmp_path / "p.h5"), data, record=names)
    assert ran.logits.tolist() == [logits for logits, _ in results]
    assert ran.saturations == dict(machine.counts)
    assert set(results[0][1]) == set(names)
    for name in names:
        assert ran.tensors[name].tolist() == [tensors[name] for _, tensors in results], name


def used(program: Program, data: NDArray[Any]) -> Counter[str]:
    """Count operations, branches of their shifts, and saturations."""
    seen: Counter[str] = Counter()
    for op in program.ops:
        kind = type(op).__name__
        seen[kind] += 1
        seen[f"{kind} of one channel"] += op.out.channels == 1
        for field in ("shift", "d_shift", "input_shift", "slope_shift"):
            shift = np.asarray(getattr(op, field, 0))
            seen[f"{kind}.{field} < 0"] += bool((shift < 0).any())
            seen[f"{kind}.{field} > 0"] += bool((shift > 0).any())
    for name in run(program, data).saturations:
        kind = "SSM.state" if name.endswith(":state") else type(program[name]).__name__
        seen[f"{kind} saturates"] += 1
    return seen


def test_the_programs_reach_every_operation_and_branch(networks):
    """Nothing that the comparison above means to cover is silently left out."""
    seen = sum((used(*case(networks, seed)) for seed in SEEDS), Counter())
    wanted = [
        *("Input", "Dense", "Embedding", "Affine", "SSM", "Spike", "Ternary", "Table", "Product"),
        *("Add", "LayerNorm", "Readout"),
        *(f"{kind} of one channel" for kind in ("SSM", "Dense", "LayerNorm")),
        *("Affine.shift < 0", "Affine.shift > 0", "SSM.d_shift < 0", "SSM.d_shift > 0"),
        *("SSM.input_shift < 0", "SSM.input_shift > 0", "Product.shift < 0", "Product.shift > 0"),
        *("Table.slope_shift < 0", "Table.slope_shift > 0"),
        *(f"{kind} saturates" for kind in ("Affine", "SSM", "SSM.state", "Table", "Product")),
        *(f"{kind} saturates" for kind in ("Add", "LayerNorm", "Readout")),
    ]
    assert [item for item in wanted if not seen[item]] == []
