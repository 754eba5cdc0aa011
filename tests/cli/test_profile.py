from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.program import Program


@pytest.fixture
def files(small_program: Callable[..., Program], tmp_path: Path) -> tuple[str, str]:
    program, data = tmp_path / "program.h5", tmp_path / "data.npz"
    small_program().save(program)
    np.savez(data, x=np.random.default_rng(0).integers(0, 256, (3, 4), np.uint8))
    return str(program), str(data)


def test_people_see_counts_energy_and_cores(files: tuple[str, str]) -> None:
    program, data = files
    arguments = ["profile", program, "--data", data, "--engine", "reference"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "Operations per sample (3 samples of 4 steps)" in result.stdout
    assert result.stdout.count("proxy (Loihi 1, pre-silicon)") == 5  # every part, and the total
    assert "the states take" in result.stdout
    assert "Static power of loihi2-sim: unknown" in result.stdout
    assert "float model" in result.stdout
    assert "blocks.0.spike" in result.stdout


def test_json_and_limit(files: tuple[str, str]) -> None:
    program, data = files
    arguments = ["profile", program, "--data", data, "--engine", "reference", "--json", "-"]
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--limit", "2"]).stdout)
    assert (found["samples"], found["steps"], found["hw"]) == (2, 4, "loihi2-sim")
    assert found["totals"]["state_updates"] == 2 * 4 * 3 * 2  # samples, steps, channels, modes
    parts = found["energy_pj"]["parts"].values()
    assert found["energy_pj"]["total"] == pytest.approx(sum(parts))
    assert found["static_power_mw"] is None
    assert found["is_proxy"] is True


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (["--hw", "loihi1"], "target 'loihi1' cannot be profiled"),
        (["--hw", "cray"], "target 'cray' is unknown; known: "),
        (["--limit", "9"], "limit 9, but there are 3 samples"),
    ],
)
def test_errors_are_one_line(files: tuple[str, str], extra: list[str], problem: str) -> None:
    program, data = files
    result = CliRunner().invoke(cli, ["profile", program, "--data", data, *extra])
    assert result.exit_code == 1
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1
