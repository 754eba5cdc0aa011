"""Samples that end early give, on every engine, the integers of each sample alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurossm import registry
from neurossm.engine import gpu
from neurossm.engine.gpu import runner
from neurossm.program import Program, Run
from neurossm.program.running import Kept

ENGINES = ("reference", "fast", "plain", "apart", pytest.param("cuda", marks=pytest.mark.gpu))


@pytest.fixture(scope="module")
def compared(say: Callable[[str], None]) -> Iterator[Counter[str]]:
    """Count integers by engine, and say how many there were."""
    counts: Counter[str] = Counter()
    yield counts
    say(f"samples that end early, integers equal to those of each alone: {dict(counts)}")


@pytest.fixture(scope="module")
def alone(networks: ModuleType) -> list[Any]:
    """Random programs, data, lengths, what to look at, and the run of each sample alone."""
    cases = []
    for seed in range(12):
        program, data, lengths = case(networks, seed)
        names = {
            "record": tuple(program.recordings),
            "count": tuple(op.name for op in program.ops[:-1]),
        }
        apart = [
            registry.run(program, data[i : i + 1, :length], "reference", **names)
            for i, length in enumerate(lengths)
        ]
        cases.append((program, data, lengths, names, apart))
    return cases


def case(networks: ModuleType, seed: int) -> tuple[Program, np.ndarray, np.ndarray]:
    """Return a random program, data, and random lengths of which none need be the longest."""
    rng = np.random.default_rng(seed)
    samples, steps = int(rng.integers(1, 9)), int(rng.integers(1, 90))
    program = networks.random_program(
        seed,
        channels=int(rng.integers(2, 12)),
        modes=int(rng.integers(1, 5)),
        saturating=(0.0, 0.5, 1.0)[seed % 3],
        mixer=("binary", "gsu")[seed % 2],
        kind=("uint8", "float", "tokens")[seed % 3],
    )
    data = networks.random_data(program.input, seed, samples, steps)
    return program, data, rng.integers(1, steps + 1, samples)


def run(engine: str, program: Program, data: np.ndarray, lengths: Any, **names: Any) -> Run:
    """Run on an engine, on PyTorch alone in small batches, or on one that knows no lengths."""
    if engine == "plain":
        return gpu.run(
            program, data, device="cpu", kernels="plain", memory=3_000, lengths=lengths, **names
        )
    name = {"cuda": "fast:cuda", "apart": "reference"}.get(engine, engine)
    return registry.run(program, data, name, lengths=lengths, **names)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_sample_is_as_if_alone(
    alone: list[Any], compared: Counter[str], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "apart":
        known = registry.engines()
        unaware = registry.Engine("reference", {"cpu": "neurossm.program.reference"})
        monkeypatch.setattr(registry, "engines", lambda: {**known, "reference": unaware})
    for program, data, lengths, names, apart in alone:
        found = run(engine, program, data, lengths, **names)
        bare = run(engine, program, data, lengths)  # which may take other kernels
        clipped = sum((Counter(one.saturations) for one in apart), Counter())
        assert found.saturations == bare.saturations == clipped
        np.testing.assert_array_equal(bare.logits, found.logits)
        for i, (length, one) in enumerate(zip(lengths, apart, strict=True)):
            np.testing.assert_array_equal(found.logits[i], one.logits[0])
            np.testing.assert_array_equal(found.totals[i], one.totals[0])
            compared[engine] += one.logits.size + one.totals.size
            for name, values in one.tensors.items():
                whole = found.tensors[name][i]
                np.testing.assert_array_equal(whole[:length], values[0], name)
                assert not whole[length:].any(), name
                compared[engine] += values.size
            for name, values in one.nonzeros.items():
                np.testing.assert_array_equal(found.nonzeros[name][i], values[0])
        assert all(values.shape[:2] == data.shape[:2] for values in found.tensors.values())


def test_short_samples_of_one_length_go_together(networks: ModuleType) -> None:
    """Groups end where the length changes, whatever the number of threads."""
    program = networks.random_program(3, channels=5, modes=2, inputs=1)
    data = networks.random_data(program.input, 0, 40, 9)
    lengths = np.repeat([3, 9, 1, 9], [17, 9, 13, 1])
    expected = registry.run(program, data, "reference", lengths=lengths)
    for threads in (1, 3):
        found = registry.run(program, data, threads=threads, lengths=lengths)
        np.testing.assert_array_equal(found.logits, expected.logits)


@pytest.mark.parametrize("kind", ["float", "tokens", "uint8"])
def test_what_stands_after_the_end_is_never_looked_at(networks: ModuleType, kind: str) -> None:
    program = networks.random_program(4, channels=4, modes=2, kind=kind)
    data = networks.random_data(program.input, 0, 3, 12)
    lengths = [12, 5, 1]
    expected = program.run(data, lengths=lengths)
    for i, length in enumerate(lengths):
        data[i, length:] = {"float": np.nan, "tokens": -1, "uint8": 77}[kind]
    for engine in ("fast", "reference"):
        found = program.run(data, engine, lengths=lengths)
        np.testing.assert_array_equal(found.logits, expected.logits)


def test_progress_counts_valid_steps(networks: ModuleType) -> None:
    program = networks.random_program(5, channels=4, modes=2, inputs=1)
    data = networks.random_data(program.input, 0, 4, 30)
    for engine in ("fast", "reference", "plain"):
        seen: list[tuple[str, int, int]] = []

        def tell(what: str, done: int, total: int, seen: list[Any] = seen) -> None:
            seen.append((what, done, total))

        run(engine, program, data, np.array([30, 3, 5, 2]), progress=tell)
        assert seen == sorted(seen)
        assert seen[-1] == ("running", 40, 40)


def test_the_longest_share_a_batch_and_the_others_leave_it(
    networks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: steps 0 to 2 of all, 3 and 4 of two, 5 to 8 of the longest alone."""
    program = networks.random_program(6, channels=4, modes=2, inputs=1)
    data = networks.random_data(program.input, 0, 3, 9)
    shapes = []
    advance = runner.DeviceProgram.advance

    def watched(self: Any, x: Any, *others: Any) -> None:
        shapes.append(tuple(x.shape[:2]))
        advance(self, x, *others)

    monkeypatch.setattr(runner.DeviceProgram, "advance", watched)
    kept = Kept(program, ("input",), data.shape)
    gpu.run_to(
        program, data, ("input",), kept, device="cpu", kernels="plain", lengths=np.array([3, 9, 5])
    )
    assert shapes == [(3, 3), (2, 2), (1, 4)]
    encoded = program.encode(data)
    for i, length in enumerate((3, 9, 5)):
        np.testing.assert_array_equal(kept.tensors["input"][i, :length], encoded[i, :length])
