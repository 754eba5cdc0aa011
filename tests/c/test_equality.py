"""C gives the reference's integers: golden vectors, random networks of every kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neurossm.c import STYLES, engine
from neurossm.program import Program, reference

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


@styles
@pytest.mark.parametrize("threads", [1, 3])
def test_samples_that_end_early(networks: ModuleType, style: str, threads: int) -> None:
    """Everything is 0 after a sample's end; chunks of 64 steps end before, at and after it."""
    program = networks.random_program(7, channels=9, saturating=1.0, inputs=2)
    data = networks.random_data(program.input, 7, 6, 130)
    lengths = np.array([130, 1, 64, 65, 63, 128])
    names = tuple(program.recordings)
    expected = reference.run(program, data, names, count=names[:3], lengths=lengths)
    assert expected.saturations
    for record in (names, ()):
        found = engine.run(program, data, record, None, threads, names[:3], lengths, style=style)
        np.testing.assert_array_equal(found.logits, expected.logits)
        np.testing.assert_array_equal(found.totals, expected.totals)
        assert found.saturations == expected.saturations
        for name in record:
            np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], name)
        for name in names[:3]:
            np.testing.assert_array_equal(found.nonzeros[name], expected.nonzeros[name], name)


@styles
@pytest.mark.parametrize("streams", [None, 2])
def test_sessions(networks: ModuleType, style: str, streams: int | None) -> None:
    """Step by step, in pieces, and again: what a run gives."""
    program = networks.random_program(8, channels=5, saturating=1.0, kind="float")
    data = networks.random_data(program.input, 8, 2, 75)
    names = tuple(program.recordings)
    x = data[0] if streams is None else data
    one = (lambda a: a[0]) if streams is None else (lambda a: a)
    session = program.session(streams, names, engine={"portable": "c"}.get(style, "c-vector"))
    for begin, end in ((0, 70), (0, 1), (1, 70), (70, 75)):
        if begin == 0:
            session.reset()
        session.advance(x[begin:end] if streams is None else x[:, begin:end])
        expected = reference.run(program, data[: streams or 1, :end], names)
        np.testing.assert_array_equal(session.logits, one(expected.logits))
        assert session.saturations == expected.saturations
        for name in names:
            last = one(expected.tensors[name][:, -1])
            np.testing.assert_array_equal(session.tensors[name], last, name)


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
