"""What is pooled over time, on every engine: the last step, the largest values, the mean."""

from __future__ import annotations

from dataclasses import fields, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurossm import program as p
from neurossm import registry
from neurossm.engine import gpu
from neurossm.program import Program, limits, reference

ENGINES = ("fast", "c", "c-vector")


def random_case(
    networks: ModuleType, seed: int, pool: str
) -> tuple[Program, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    kind = ("uint8", "tokens", "float")[seed % 3]
    program = networks.random_program(
        seed,
        channels=int(rng.integers(1, 20)),
        modes=int(rng.integers(1, 6)),
        blocks=1,
        saturating=(0.0, 1.0)[seed % 5 < 2],
        kind=kind,
        inputs=3 if kind == "tokens" else int(rng.integers(1, 4)),
        mixer=("binary", "gsu")[seed // 2 % 2],
        pool=pool,
    )
    steps = (70, 13)[seed % 2]  # more than the engines take at once, or fewer
    data = networks.random_data(program.input, seed, 4, steps)
    return program, data, rng.integers(1, steps + 1, 4)


def vars_of(op: p.Op) -> dict[str, Any]:
    return {one.name: getattr(op, one.name) for one in fields(op)}


def decided(program: Program, x: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, int]:
    """Return logits by their definition, in Python's integers, and how many were clipped."""
    op = program.readout
    low, high = limits(op.out.bits)
    if op.pool == "none":  # every step as a sample of its own
        logits, clipped = np.zeros((*x.shape[:2], op.out.channels), np.int64), 0
        last = replace(program, ops=(*program.ops[:-1], p.LastReadout(**vars_of(op))))
        for i, n in enumerate(lengths):
            logits[i, :n], count = decided(last, x[i, :n, None], np.ones(n, int))
            clipped += count
        return logits, clipped
    logits, clipped = np.zeros((len(x), op.out.channels), np.int64), 0
    for i, sample in enumerate(x):
        valid, n = sample[: lengths[i]].astype(object), 1
        if op.pool == "mean":
            kept, n = valid.sum(axis=0), int(lengths[i])
        else:
            kept = valid[-1] if op.pool == "last" else valid.max(axis=0)
        for k in range(op.out.channels):
            z = sum(int(w) * int(v) for w, v in zip(op.weight[k], kept, strict=True))
            z += int(op.bias[k]) * n
            exact = (2 * z + n * 2**op.shift) // (n * 2 ** (op.shift + 1))
            logits[i, k] = min(max(exact, low), high)
            clipped += logits[i, k] != exact
    return logits, clipped


@pytest.mark.parametrize("pool", ["last", "max", "mean", "none"])
def test_every_engine_gives_the_integers_of_the_definition(networks, say, pool):
    compared = clipped = 0
    for seed in range(12):
        program, data, lengths = random_case(networks, seed, pool)
        (source,) = program.readout.inputs
        expected = reference.run(program, data, [source], count=[source], lengths=lengths)
        wanted, clips = decided(program, expected.tensors[source], lengths)
        np.testing.assert_array_equal(expected.logits, wanted)
        assert expected.saturations.get(program.readout.name, 0) == clips
        clipped += clips
        compiled = ENGINES if seed < 3 else ENGINES[:1]  # C takes a compiler's time
        for name in (*compiled, "gpu"):
            run = gpu.run if name == "gpu" else registry.run
            how = {"device": "cpu", "kernels": "plain"} if name == "gpu" else {"engine": name}
            found = run(program, data, count=[source], lengths=lengths, **how)
            np.testing.assert_array_equal(found.logits, wanted, name)
            np.testing.assert_array_equal(found.totals, expected.totals, name)
            assert found.saturations == expected.saturations, name
            compared += found.logits.size + found.totals.size
    assert clipped
    say(f"pool {pool}: {compared:,} logits and kept integers equal on 4 engines")


@pytest.mark.parametrize("pool", ["last", "max", "none"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_session_gives_the_logits_after_each_step(networks, pool, engine):
    for seed in range(2):
        program, data, _ = random_case(networks, seed, pool)
        each = [reference.run(program, data[:, :t]).logits for t in range(1, data.shape[1] + 1)]
        wanted = [logits[:, -1] if pool == "none" else logits for logits in each]
        session = program.session(len(data), engine=engine)
        first = [session.step(data[:, t]) for t in range(5)]
        np.testing.assert_array_equal(first, wanted[:5])
        rest = session.feed(data[:, 5:])
        np.testing.assert_array_equal(rest.swapaxes(0, 1), wanted[5:])
        np.testing.assert_array_equal(session.logits, wanted[-1])
        session.reset()
        session.advance(data)
        np.testing.assert_array_equal(session.logits, wanted[-1])
        if pool != "none":  # of its logits a session counts the last ones
            assert session.saturations == reference.run(program, data).saturations
