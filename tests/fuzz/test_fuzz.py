"""Damaged and hostile files for quick readers, the same every time; `make fuzz` takes all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"


def fuzz(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(HERE), *options],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize(
    "reader",
    ["npz", "npy", "idx", "safetensors", "profile", "widths", "train config", "data.bin"],
)
def test_a_reader_takes_a_file_or_refuses_it_in_one_line(reader: str) -> None:
    ended = fuzz("--reader", reader, "--cases", "150")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "150 cases of seed 0" in ended.stdout


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("raise KeyError('x')", "INTERNAL ERROR"),
    ],
)
def test_a_fault_is_found(fault: str, outcome: str, tmp_path: Path) -> None:
    """A reader with a fault of each kind, in the place of the one of IDX files."""
    (tmp_path / "sitecustomize.py").write_text(f"""
import os, sys
sys.path.insert(0, {str(HERE)!r})
import data_files, watchdog
from neurossm.errors import FormatError
FormatError.__init__ = Exception.__init__
watchdog.SECONDS = 1
def read(self, path, rng):
    {fault}
data_files.Idx.read = read
""")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCES}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(HERE), "--reader", "idx", "--cases", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout.startswith(f"{outcome}: idx 0: ")
    assert "make fuzz ARGS='--reader idx --seed 0 --case 0'" in ended.stdout
