"""C gives the reference's integers: golden vectors, random networks of every kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neurossm.c import STYLES, engine
from neurossm.program import Program

FULL = os.environ.get("NEUROSSM_CONFORMANCE") == "full"
SEEDS = range(300 if FULL else 16)
Compared = Callable[..., int]
styles = pytest.mark.parametrize("style", STYLES)


@styles
def test_golden_vectors(golden: Path, style: str) -> None:
    program = Program.load(golden)
    names = tuple(program.recordings)
    with np.load(golden.with_suffix(".npz")) as file:
        wanted = {name.replace(".state", ":state"): file[name] for name in file.files}
    ran = engine.run(program, wanted["data"], names, style=style)
    for name in names:
        np.testing.assert_array_equal(ran.tensors[name], wanted[f"tensors/{name}"], name)
    np.testing.assert_array_equal(ran.logits, wanted["logits"])
    counts = {f"saturations/{name}": n for name, n in ran.saturations.items()}
    assert counts == {name: n for name, n in wanted.items() if name.startswith("saturations/")}


def of_any_kind(networks: ModuleType, seed: int) -> Program:
    """Return a random program: sizes, kinds of input and what saturates all follow the seed."""
    rng = np.random.default_rng(seed)
    program: Program = networks.random_program(
        seed,
        channels=int(rng.integers(1, 20)),
        modes=int(rng.integers(1, 9)),
        blocks=int(rng.integers(1, 3)),
        classes=int(rng.integers(1, 6)),
        inputs=int(rng.integers(1, 7)),
        kind=str(rng.choice(networks.KINDS)),
        norm=str(rng.choice([*networks.NORMS, "layer"])),
        mixer=str(rng.choice(networks.MIXERS)),
        saturating=float(rng.choice([0.0, 0.3, 1.0])),
        stream_bits=int(rng.choice([10, 14, 24])),
    )
    return program


@pytest.mark.slow
@styles
def test_random_networks(
    networks: ModuleType, compared: Compared, say: Callable[[str], None], style: str
) -> None:
    integers = 0
    for seed in SEEDS:
        program = of_any_kind(networks, seed)
        data = networks.random_data(program.input, seed, 3, 20)
        integers += compared(program, data, style)
    say(f"random networks in C, {style}: {len(SEEDS)}, {integers:,} integers equal")
