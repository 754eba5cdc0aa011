from __future__ import annotations

import subprocess
import sys

import pytest

import neurossm

HEAVY = ("torch", "lava", "numba", "numpy", "h5py", "matplotlib")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, neurossm; print([m for m in {HEAVY!r} if m in sys.modules])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"


def test_a_public_name_comes_from_its_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(neurossm._HOMES, "isqrt", "math")
    assert neurossm.__getattr__("isqrt")(17) == 4
    assert "isqrt" in vars(neurossm)  # the second access does not come here again
    monkeypatch.delitem(vars(neurossm), "isqrt")


@pytest.mark.parametrize("name", sorted(neurossm._HOMES))
def test_public_names_are_listed(name: str) -> None:
    assert name in neurossm.__all__
    assert name in dir(neurossm)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'neurossm' has no attribute 'sing'"):
        neurossm.sing  # noqa: B018
