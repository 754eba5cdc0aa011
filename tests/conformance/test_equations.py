"""Every mutant of every equation is noticed, in the reference and in the kernels printed from it.

Exceptions are those of `equivalents`, each with a proof.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurossm.program import LayerNorm, Softmax
from neurossm.program.operations import OP_TYPES

Say = Callable[[str], None]
FULL = os.environ.get("NEUROSSM_CONFORMANCE") == "full"
KINDS = tuple(name for name, kind in OP_TYPES.items() if kind.traced() is not None)


@pytest.fixture(scope="module")
def parts(mutation: ModuleType, replay: ModuleType) -> dict[Any, list[Any]]:
    """Operations of golden vectors, corners and random programs, with what they got and gave."""
    return replay.parts(mutation.every_case())


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_noticed_without_a_mutant(
    replay: ModuleType, parts: dict[Any, list[Any]], name: str
) -> None:
    """And every value of every instruction lies within its bounds."""
    some = parts[OP_TYPES[name]]
    for form, check in {**replay.FORMS, "bounds": replay.bounds}.items():
        try:
            assert replay.noticed(some, check) is None, form
        except replay.NotInFloatsError:  # noqa: PERF203
            assert form == "floats", form
            assert name in ("SSM", "LayerNorm", "PeakTernary", "Softmax"), form


@pytest.mark.parametrize("name", KINDS)
def test_every_mutant_is_noticed(
    equations: ModuleType,
    equivalents: ModuleType,
    replay: ModuleType,
    parts: dict[Any, list[Any]],
    name: str,
    say: Say,
) -> None:
    """In the reference, in integers, and in floats where the mutant is computed in floats."""
    kind = OP_TYPES[name]
    some, total, seen, survivors = parts[kind], 0, dict.fromkeys(replay.FORMS, 0), {}
    for mutant in equations.mutants(kind):
        total += 1
        checks = {"bounds": replay.bounds} if mutant.is_claim else replay.FORMS
        with replay.altered(kind, mutant.step, some):
            for form, check in checks.items():
                try:
                    place = replay.noticed(some, check)
                except replay.NotInFloatsError:
                    assert form == "floats", mutant.name
                    continue
                if place is None:
                    survivors.setdefault(mutant.name, []).append(form)
                seen[form] = seen.get(form, 0) + (place is not None)
    counts = ", ".join(f"{count} in {form}" for form, count in seen.items())
    say(f"equation of {name}: {total} mutants, noticed {counts}; {len(survivors)} equivalent")
    known = {mutant for mutant in equivalents.REASONS if mutant.split()[0] == name}
    assert set(survivors) == known


def test_roots_that_are_said_to_be_equal_are_equal(
    equations: ModuleType, equivalents: ModuleType, say: Say
) -> None:
    """Of every v of [2^26, 2^28] with `make mutation`, else of a part."""
    step = LayerNorm.traced()
    assert step is not None
    mutants = {m.name: m.step for m in equations.mutants(LayerNorm)}
    first, last, size = 1 << 26, 1 << 28, 1 << 17
    begins = range(first, last + 1, size if FULL else 97 * size)
    tried, least, most = 0, last, 0
    for begin in begins:
        v = np.arange(begin, min(begin + size, last + 1))
        right = equivalents.roots(step, v)
        tried, least, most = tried + v.size, min(least, right.min()), max(most, right.max())
        some = equivalents.halfway(step, v)
        for name in equivalents.TRIED:
            same = equivalents.roots(mutants[name], some) == equivalents.roots(step, some)
            assert same.all(), (name, some[~same])
    say(f"roots of LayerNorm: {tried:,} tried, from {least} to {most}")
    assert least >= 1 << 16
    assert most <= 1 << 17
    other, v = mutants["LayerNorm 43, mul: one more"], np.array([136209419])
    assert equivalents.roots(other, v) != equivalents.roots(step, v)  # it can tell


def test_reciprocals_that_are_said_to_be_equal_are_equal(
    equations: ModuleType, equivalents: ModuleType, say: Say
) -> None:
    """Of every v of [2^27, 2^28] with `make mutation`, else of a part."""
    step = Softmax.traced()
    assert step is not None
    mutants = {m.name: m.step for m in equations.mutants(Softmax)}
    first, last, size = 1 << 27, 1 << 28, 1 << 17
    tried, least, most = 0, last, 0
    for begin in range(first, last + 1, size if FULL else 97 * size):
        v = np.arange(begin, min(begin + size, last + 1))
        right = equivalents.reciprocals(step, v)
        tried, least, most = tried + v.size, min(least, right.min()), max(most, right.max())
        for name in equivalents.TRIED_SHARES:
            same = equivalents.reciprocals(mutants[name], v) == right
            assert same.all(), (name, v[~same])
    say(f"reciprocals of Softmax: {tried:,} tried, from {least} to {most}")
    assert least >= 1 << 20
    assert most <= 1 << 21
    other, v = mutants["Softmax 31, rshift: halves down"], np.array([178589440])
    assert equivalents.reciprocals(other, v) != equivalents.reciprocals(step, v)  # it can tell


@pytest.mark.parametrize("name", KINDS)
def test_every_operation_alone_in_c(
    printed_c: ModuleType, parts: dict[Any, list[Any]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFLAGS", "-O0")
    printed = printed_c.Printed()
    for part in parts[OP_TYPES[name]]:
        printed.add(part)
    assert len(printed.parts) > 2
    assert printed.differences() == [None] * len(printed.parts)


@pytest.mark.parametrize("name", KINDS)
def test_mutants_are_noticed_in_c(
    equations: ModuleType,
    printed_c: ModuleType,
    replay: ModuleType,
    parts: dict[Any, list[Any]],
    name: str,
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the integers printed for Python notice them without an error; some, or all of them."""
    monkeypatch.setenv("CFLAGS", "-O0")
    kind, printed, names = OP_TYPES[name], printed_c.Printed(), list[str]()
    some = [part for part in parts[kind] if part.size <= printed_c.LARGEST]
    mutants = [one for one in equations.mutants(kind) if not one.is_claim]
    for mutant in mutants[:: 1 if FULL else 11]:
        with replay.altered(kind, mutant.step, some):
            found = printed_c.noticing(some)
            names += [mutant.name for part in found if printed.could_add(part)]
    places = zip(names, printed.differences(), strict=True)
    noticed = {one for one, place in places if place is not None}
    say(f"equation of {name} in C: {len(set(names))} mutants compiled, {len(noticed)} noticed")
    assert names
    assert noticed == set(names), set(names) - noticed
