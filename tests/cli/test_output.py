from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurossm.cli.output import open_output, plain
from neurossm.errors import InputError


@dataclasses.dataclass(frozen=True)
class Layer:
    name: str
    rates: tuple[float, ...]


def test_plain_values() -> None:
    value = {
        "count": np.int64(2**40),
        "rate": np.float32(0.5),
        "flag": np.bool_(True),
        "array": np.array([[1, 2], [3, 4]], dtype=np.int32),
        "path": Path("a/b"),
        "layers": [Layer("u", (0.25, math.nan))],
        3: None,
        "ratio": np.float64(math.inf),
        "arrays": np.array([1.5, -math.inf]),
    }
    expected = {
        "count": 1099511627776,
        "rate": 0.5,
        "flag": True,
        "array": [[1, 2], [3, 4]],
        "path": "a/b",
        "layers": [{"name": "u", "rates": [0.25, None]}],
        "3": None,
        "ratio": None,
        "arrays": [1.5, None],
    }
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected


def test_a_value_without_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        plain({"a": object()})


def test_json_to_a_file_leaves_the_table_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.json"
    with open_output(str(target)) as output:
        output.table("Tensors", ["name", "bits"], [("u", 16), ("[red]v", None)])
        output.json({"samples": 3})
    assert json.loads(target.read_text()) == {"samples": 3}
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Tensors"] in lines
    assert ["name", "bits"] in lines
    assert ["u", "16"] in lines
    assert ["[red]v", "-"] in lines


def test_numbers_are_shown_short_and_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output(None) as output:
        output.table("", ["x", "ok"], [(2.0 / 3.0, True), (np.int64(10), False)])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert "  0.6667   yes" in lines
    assert "      10   no" in lines


def test_a_line_is_neither_wrapped_nor_coloured(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[bold] " + "word " * 80 + "1.5"
    with open_output(None) as output:
        output.line(text)
    assert capsys.readouterr().out == text + "\n"


def test_without_json_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output(None) as output:
        output.json({"samples": 3})
    assert capsys.readouterr().out == ""


def test_a_bad_json_path_is_found_before_the_work(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="missing does not exist"),
        open_output(str(tmp_path / "missing" / "out.json")),
    ):
        pytest.fail("the work began")


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output(None) as output, output.progress() as progress:
        progress("running", 1, 2)
        progress("running", 2, 2)
        progress("counting", 1, 1)
    assert tuple(capsys.readouterr()) == ("", "")


NOISY = """
import os, subprocess, sys
from neurossm.cli.output import open_output
with open_output("-") as output:
    print("a library speaks")
    os.write(1, b"a compiled library speaks\\n")
    subprocess.run([sys.executable, "-c", "print('a child speaks')"], check=True)
    output.table("Title", ["name"], [("u",)])
    output.line("a line")
    output.json({"samples": 3})
print("after")
"""


def test_json_on_stdout_stands_alone() -> None:
    child = subprocess.run(
        [sys.executable, "-c", NOISY], capture_output=True, text=True, check=True
    )
    text, after = child.stdout.rsplit("\n", 2)[:2]
    assert json.loads(text) == {"samples": 3}
    assert after == "after"
    said = sorted(child.stderr.splitlines())
    assert said == ["a child speaks", "a compiled library speaks", "a library speaks"]


def test_json_on_a_captured_stdout_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output("-") as output:
        print("noise")  # noqa: T201
        output.table("Title", ["name"], [("u",)])
        output.json({"samples": 3})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"samples": 3}
    assert captured.err == "noise\n"
