from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from neurossm.cli import cli


def test_the_table_says_what_each_target_can_do() -> None:
    result = CliRunner().invoke(cli, ["targets"])
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert set(rows) >= {"cmos45", "loihi2", "loihi2-sim", "spinnaker2"}
    assert "loihi1: its neuron model is fixed" in result.stdout
    assert "proxy (Loihi 1, pre-silicon)" in result.stdout


def test_json_leaves_out_what_is_unknown() -> None:
    result = CliRunner().invoke(cli, ["targets", "--json", "-"])
    targets = {target["name"]: target for target in json.loads(result.stdout)["targets"]}
    assert targets["loihi2"]["limits"]["accumulator_bits"] == 32
    assert "axons_in_per_core" not in targets["loihi2"]["limits"]
    assert "event_energy" not in targets["loihi2"]
    assert "spike_energy_pj" not in targets["spinnaker2"]["event_energy"]
    assert "null" not in result.stdout


def test_a_bad_file_is_one_line_and_status_1(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nspeed = 3\n')
    result = CliRunner().invoke(cli, ["targets", "--hw", str(path)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"neurossm: {path}: [speed]: unknown table or key")
    assert result.stderr.count("\n") == 1
