"""Every altered engine is noticed: each edit of `mutants`, one at a time, changes some integer.

The kernels run as plain Python here (see `emulation`); `make mutation` compiles each for real.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Say = Callable[[str], None]


@pytest.fixture(scope="module")
def cases(mutation: ModuleType) -> list[Any]:
    """Golden vectors, corners and random programs, with what the unaltered reference computes."""
    return mutation.every_case()


@pytest.fixture(scope="module")
def golden(mutation: ModuleType) -> list[Path]:
    found: list[Path] = mutation.golden()
    return found


@pytest.mark.parametrize("processor", ["bytes", "shorts", "neither"])
def test_nothing_is_noticed_without_an_edit(
    mutation: ModuleType, cases: list[Any], processor: str
) -> None:
    """As plain Python, and as if the processor multiplied bytes, 16-bit numbers, or only floats."""
    flags = {"FAST_BYTES": processor == "bytes", "FAST_SHORTS": processor != "neither"}
    assert mutation.as_python((), cases, flags) is None


@pytest.mark.slow
def test_every_edit_of_the_fast_engine_is_noticed(
    mutation: ModuleType, cases: list[Any], say: Say
) -> None:
    """More than 150 edits of kernels, printers, lowering, memory and exactness."""
    edits = mutation.every()
    places = {
        name: mutation.as_python((edit,), mutation.likely_first(cases, name))
        for name, edit in edits.items()
    }
    _report(say, "fast engine", places)
    assert len(edits) > 150


@pytest.mark.slow
def test_every_edit_of_c_is_noticed(
    mutation: ModuleType,
    mutants_c: ModuleType,
    golden: list[Path],
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the golden vectors alone; without an edit nothing is."""
    monkeypatch.setenv("CFLAGS", "-O0")
    cases = mutation.loaded(golden)
    assert mutation.of_c(None, cases) is None
    places = {name: mutation.of_c(edit, cases) for name, edit in mutants_c.EDITS.items()}
    _report(say, "C", places)


@pytest.mark.slow
def test_every_edit_of_the_reference_is_noticed(
    mutation: ModuleType, mutants: ModuleType, golden: list[Path], say: Say
) -> None:
    """The golden vectors tell when the definition changes."""
    places = {name: mutation.of_reference(edit, golden) for name, edit in mutants.REFERENCE.items()}
    _report(say, "reference", places)


def _report(say: Say, engine: str, places: dict[str, str | None]) -> None:
    """Print how many edits were noticed and by what, and name the others."""
    survivors = [name for name, place in places.items() if place is None]
    failed = [name for name, place in places.items() if place and "Error: " in place]
    integers = len(places) - len(survivors) - len(failed)
    say(
        f"{engine}: {len(places)} edits, {integers} noticed by an integer, "
        f"{len(failed)} by an error {failed}, {len(survivors)} not noticed"
    )
    assert not survivors, survivors


def test_an_edit_of_text_that_is_not_there_is_refused(
    mutation: ModuleType, cases: list[Any]
) -> None:
    edit = mutation.Edit("engine/cpu/planner.py", "no such text", "")
    with pytest.raises(LookupError, match="occurs 0 times"):
        mutation.as_python((edit,), cases)


def test_a_sandbox_leaves_the_package_as_it_was(mutation: ModuleType, mutants: ModuleType) -> None:
    import neurossm
    from neurossm.derive import exactness

    with mutation.sandbox(("neurossm.derive",), (mutants.LOWERING["2^54 for 2^53"],)):
        from neurossm.derive import exactness as altered
    assert altered.DOUBLE == 1 << 54
    assert exactness.DOUBLE == 1 << 53
    from neurossm.derive import exactness as again

    assert again is exactness
    assert neurossm.derive.exactness is exactness
