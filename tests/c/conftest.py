"""What the tests of C share: how it is compiled quickly, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurossm.c import engine
from neurossm.program import Program, reference

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile without optimisation: no integer depends on it, as other tests show."""
    monkeypatch.setenv("CFLAGS", "-O0")


@pytest.fixture(scope="session")
def compared() -> Callable[..., int]:
    """Compare every tensor, state, count and logit with the reference; return how many."""

    def compare(program: Program, data: np.ndarray, style: str = "portable") -> int:
        names = tuple(program.recordings)
        tensors = [name for name, kept in program.recordings.items() if kept.state is None]
        expected = reference.run(program, data, record=names, count=tensors)
        found = engine.run(program, data, names, count=tensors, threads=1, style=style)
        chunked = engine.run(program, data, tensors, threads=1, style=style)
        for name in tensors:
            np.testing.assert_array_equal(chunked.tensors[name], expected.tensors[name], name)
        for name in names:
            np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], name)
        for name in tensors:
            np.testing.assert_array_equal(found.nonzeros[name], expected.nonzeros[name], name)
        np.testing.assert_array_equal(found.logits, expected.logits)
        np.testing.assert_array_equal(found.totals, expected.totals)
        assert found.saturations == expected.saturations
        unwatched = engine.run(program, data, threads=1, style=style)  # many steps at once
        np.testing.assert_array_equal(unwatched.logits, expected.logits)
        np.testing.assert_array_equal(unwatched.totals, expected.totals)
        assert unwatched.saturations == expected.saturations
        return sum(values.size for values in expected.tensors.values()) + found.logits.size

    return compare


def golden_cases() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted(GOLDEN.glob("*.h5"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" in metafunc.fixturenames:
        metafunc.parametrize("golden", golden_cases())
