"""The shipped models: the fast engine against the reference on real digits, every integer.

`make test` compares more than 10^8 integers; `make conformance` more than 10^9 on 100 digits.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurossm.compile import compile_model
from neurossm.engine import cpu as fast
from neurossm.program import Program, reference

MODELS = ("binary_s4d", "gsu", "binary_s4d_small", "gsu_small")
FOLDER = Path(__file__).parents[2] / "examples" / "smnist"
FULL = os.environ.get("NEUROSSM_CONFORMANCE") == "full"
DIGITS, WITH_STATES, BATCH = (100, 14, 4) if FULL else (4, 1, 4)
"""Digits in all; those of which each state is compared too; and digits in memory at a time."""

Counts = Counter[str]


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """The first test digits, (digits, 784, 1) bytes."""
    with np.load(FOLDER / "mnist_test.npz") as file:
        return file["x"][:DIGITS]


@pytest.fixture(scope="module")
def total() -> Counts:
    """Integers compared over all models."""
    return Counter()


def compared(program: Program, data: np.ndarray, names: tuple[str, ...]) -> Counts:
    """Compare these tensors and the logits; return how many integers, by operation."""
    expected = reference.run(program, data, record=names)
    found = fast.run(program, data, record=names)
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.totals, expected.totals)
    assert found.saturations == expected.saturations == {}
    counts = Counter({"Readout": expected.logits.size + expected.totals.size})
    for name in names:
        wanted = expected.tensors.pop(name)
        np.testing.assert_array_equal(found.tensors.pop(name), wanted, name)
        kept = program.recordings[name]
        kind = type(kept.op).__name__
        counts[f"{kind} states" if kept.state else kind] += wanted.size
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_integer(
    model: str, digits: np.ndarray, total: Counts, say: Callable[[str], None]
) -> None:
    program = compile_model(FOLDER / f"{model}.pt")
    names = tuple(program.recordings)
    tensors = tuple(name for name, kept in program.recordings.items() if kept.state is None)
    counts: Counts = Counter()
    for first in range(0, DIGITS, BATCH):  # recurrences in floats
        counts += compared(program, digits[first : first + BATCH], tensors)
    for first in range(WITH_STATES):  # recurrences in integers, which can be recorded
        states = compared(program, digits[first : first + 1], names)
        counts["SSM states"] += states["SSM states"]
    total += counts
    say(_line(f"{model}, {DIGITS} digits, states of {WITH_STATES}", counts))


@pytest.mark.slow
def test_enough_is_compared(total: Counts, say: Callable[[str], None]) -> None:
    """After the others, if all of them ran."""
    if total["Input"] < len(MODELS) * DIGITS * 784:
        pytest.skip("not all models were compared")
    say(_line("all models", total))
    assert total.total() >= (10**9 if FULL else 10**8)


def _line(title: str, counts: Counts) -> str:
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f"{title}: {counts.total():,} integers equal ({parts})"
