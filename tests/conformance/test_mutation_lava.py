"""Every altered model of Lava's processes is noticed by the golden vectors, on Lava itself.

A few are always tried; the tests run all of them with `make mutation`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.lava, pytest.mark.slow]
ALL = os.environ.get("NEUROSSM_CONFORMANCE") == "full"


@pytest.fixture(scope="module")
def mutation_lava(module: Callable[[str], ModuleType]) -> ModuleType:
    return module("mutation_lava")


@pytest.fixture(scope="module")
def mutants_lava(module: Callable[[str], ModuleType]) -> ModuleType:
    return module("mutants_lava")


def test_nothing_is_noticed_without_an_edit(mutation_lava: ModuleType) -> None:
    assert mutation_lava.noticed("", ()) is None


def test_every_edit_is_noticed(
    mutation_lava: ModuleType, mutants_lava: ModuleType, say: Callable[[str], None]
) -> None:
    table = mutants_lava.FIXED
    edits = table if ALL else {name: table[name] for name in mutants_lava.BRIEF}
    places = mutation_lava.all_noticed(edits)
    survivors = [name for name, place in places.items() if place is None]
    failed = [name for name, place in places.items() if place and "Error: " in place]
    say(
        f"Lava: {len(edits)} of {len(table)} edits, "
        f"{len(edits) - len(failed) - len(survivors)} noticed by an integer, "
        f"{len(failed)} by an error {failed}, {len(survivors)} not noticed"
    )
    assert not survivors, survivors


def test_every_edit_still_has_its_text(mutants_lava: ModuleType) -> None:
    """Also those that are not tried today."""
    for edit in mutants_lava.FIXED.values():
        texts: dict[Path, str] = {}
        edit.apply(texts)
        assert len(texts) == 1
