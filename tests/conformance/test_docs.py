"""The example of docs/conformance.md runs, and notices what differs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/conformance.md").read_text(), re.S)
    return code


def test_the_example_prints_what_the_page_says(
    example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    exec(example, {})
    assert capsys.readouterr().out == "binary-bytes: 1 tensors equal\n"


def test_the_example_finds_the_first_difference(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(example, names)
    right = names["simulate"]

    def wrong(program: object, data: np.ndarray) -> dict[str, np.ndarray]:
        tensors = right(program, data)  # type: ignore[operator]
        tensors["encoder.sum"][1, 5, 2] += 1
        tensors["encoder.sum"][0, 7, 0] += 1
        return tensors

    names["simulate"] = wrong
    found = names["check"](Path("tests/golden/binary-bytes.h5"))  # type: ignore[operator]
    assert found == "binary-bytes: encoder.sum, sample 1, step 5, channel 2"
