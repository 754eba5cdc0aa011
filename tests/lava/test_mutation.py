"""Every altered Lava model is noticed: each edit, one at a time, changes an integer somewhere.

The models run as plain Python, stepped without Lava's runtime (see stepping.py), on the golden
vectors.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest

from neurossm.program import Program, reference

TESTS = Path(__file__).parents[1]
WIDE = ("norm-edges", "slow-poles")
"""Their messages are wider than Lava's 32 bits."""
GOLDEN = [path for path in sorted((TESTS / "golden").glob("*.h5")) if path.stem not in WIDE]


@pytest.fixture(scope="module")
def sandbox() -> ModuleType:
    """Altered copies of parts of the package."""
    return _load(TESTS / "conformance" / "sandbox.py")


@pytest.fixture(scope="module")
def edits() -> dict[str, tuple[str, str, str]]:
    """File, what it says, and what it says instead, by what is wrong then."""
    found: dict[str, tuple[str, str, str]] = _load(Path(__file__).parent / "edits.py").EDITS
    return found


def _load(path: Path) -> ModuleType:
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[path.stem])
    return sys.modules[path.stem]


@pytest.fixture(scope="module")
def cases(networks: ModuleType, skipping: Any) -> list[tuple[str, Program, dict[str, np.ndarray]]]:
    """Golden programs and one of long paths, their data, and all that they lead to."""
    found = []
    for path in GOLDEN:
        with np.load(path.with_suffix(".npz")) as file:
            vectors = {name.replace(".state", ":state"): file[name] for name in file.files}
            found.append((path.stem, Program.load(path), vectors))
    program = skipping(networks.random_program(0, blocks=3))
    data = networks.random_data(program.input, 1, batch=2, steps=7)
    ran = reference.run(program, data, record=tuple(program.recordings))
    vectors = {f"tensors/{name}": values for name, values in ran.tensors.items()}
    vectors |= {f"saturations/{name}": np.int64(n) for name, n in ran.saturations.items()}
    return [*found, ("skipping", program, {"data": data, "logits": ran.logits, **vectors})]


def difference(stepping: ModuleType, cases: list[Any], folder: Path) -> str | None:
    """Return where the models first differ from the golden vectors, None if nowhere."""
    for name, program, vectors in cases:
        expected = {key: values for key, values in vectors.items() if key != "data"}
        names = tuple(program.recordings)
        try:
            with np.errstate(all="ignore"):
                got = stepping.run(program, vectors["data"], names, folder)
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
        for key in sorted(expected.keys() | got.keys()):
            if not np.array_equal(expected.get(key), got.get(key)):
                return f"{name}: {key}"
    return None


def test_models_give_the_golden_vectors_without_lavas_runtime(stepping, cases, tmp_path):
    assert difference(stepping, cases, tmp_path) is None


def test_every_edit_of_a_lava_model_is_noticed(
    sandbox, stepping, edits, cases, tmp_path, monkeypatch, say
):
    monkeypatch.setattr(numba, "njit", lambda *given, **options: lambda function: function)
    with sandbox.sandbox(("neurossm.lava",)):
        assert difference(stepping, cases, tmp_path) is None
    places = {}
    for name, (file, old, new) in edits.items():
        with sandbox.sandbox(("neurossm.lava",), (sandbox.Edit(file, old, new),)):
            places[name] = difference(stepping, cases, tmp_path)
    survivors = [name for name, place in places.items() if place is None]
    failed = {name: place for name, place in places.items() if place and "Error: " in place}
    say(
        f"{len(edits)} altered Lava models: {len(edits) - len(failed) - len(survivors)} noticed "
        f"by an integer, {len(failed)} by an error {failed}, {len(survivors)} not noticed"
    )
    assert not survivors, survivors
