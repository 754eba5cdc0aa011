"""What the engine's tests share: small programs around one operation, and the comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neurossm import graph as g
from neurossm import program as p
from neurossm.engine import cpu as fast
from neurossm.engine.cpu.kernels import columns, derived
from neurossm.engine.cpu.planner import lower
from neurossm.program import reference
from neurossm.program.certificate import certify


def instructions(program: p.Program, record: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the instructions a program is lowered to."""
    return [derived.NAMES[row[columns.KIND]] for row in lower(program, record).instructions]


def around(ops: Sequence[p.Op], *, bits: int, channels: int, certified: bool = True) -> p.Program:
    """Return a program whose input is integers of magnitude up to 2^bits, and which ends in ops."""
    low, high = -1.0, 1.0
    source = p.Input("x", (), p.unchecked(bits + 2, bits, channels), "float", channels, low, high)
    last = ops[-1]
    shrink = p.Affine(
        "small",
        (last.name,),
        p.unchecked(16, 0, last.out.channels),
        np.ones(last.out.channels, np.int64),
        np.full(last.out.channels, 40),
        np.zeros(last.out.channels, np.int64),
    )
    decoder = p.Readout(
        "decoder",
        ("small",),
        p.unchecked(40, 0, 2),
        np.arange(2 * last.out.channels).reshape(2, -1) - last.out.channels,
        np.array([5, -5]),
        0,
        1 << 10,
    )
    nodes = (g.InputNode("x", (), "float", channels, low, high, 1.0),)
    program = p.Program((source, *ops, shrink, decoder), g.Graph(nodes), "none")
    return certify(program) if certified else program


def extremes(program: p.Program, seed: int = 0, batch: int = 3, steps: int = 11) -> np.ndarray:
    """Return float data whose integers are 0, +-1, the largest, their neighbours, and random."""
    source = program.input
    rng = np.random.default_rng(seed)
    one = 2.0 ** -int(source.out.exponent[0])
    special = np.array([-1, 1, -1 + one, 1 - one, one, -one, 0, 0.5, -0.5, 0.5 - one])
    shape = (batch, steps, source.size)
    data = np.where(
        rng.uniform(size=shape) < 0.6,
        rng.choice(special, shape),
        np.round(rng.uniform(-1, 1, shape) / one) * one,
    )
    data[0, :2] = [[-1.0], [1.0]]
    return data


def compared(
    program: p.Program,
    data: np.ndarray,
    record: Iterable[str] | None = None,
    count: Iterable[str] = (),
    **options: Any,
) -> Counter[str]:
    """Check that both engines give the same integers; return how many, by type of operation."""
    names = tuple(program.recordings) if record is None else tuple(record)
    expected = reference.run(program, data, names, count=count)
    found = fast.run(program, data, names, count=count, **options)
    same = Counter({"Readout": expected.logits.size})
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.totals, expected.totals)
    assert found.saturations == expected.saturations
    assert set(found.tensors) == set(names)
    for name in names:
        assert found.tensors[name].dtype == np.int64
        np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], name)
        owner, is_state, _ = name.rpartition(":state_")
        op = program[owner if is_state else name]
        same[type(op).__name__ + (" states" if is_state else "")] += expected.tensors[name].size
    for name in count:
        np.testing.assert_array_equal(found.nonzeros[name], expected.nonzeros[name], name)
    return same


@pytest.fixture(scope="session")
def engine() -> SimpleNamespace:
    """The helpers of this file."""
    return SimpleNamespace(
        instructions=instructions, around=around, extremes=extremes, compared=compared
    )


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest, say: Callable[[str], None]) -> Iterator[Counter[str]]:
    """Count compared integers by operation; the totals are printed after the last test."""
    counts: Counter[str] = Counter()
    yield counts
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    if counts:
        say(f"{request.path.name}: {counts.total():,} integers equal to the reference's: {parts}")
