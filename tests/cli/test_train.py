from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.models import load

OPTIONS = ["train", "--task", "token-order", "--model", "binary-s4d", "--size", "small"]


def test_trains_and_writes(tmp_path: Path) -> None:
    path, results = tmp_path / "model.pt", tmp_path / "results.json"
    options = [*OPTIONS, "--epochs", "1", "--device", "cpu", "-o", str(path)]
    outcome = CliRunner().invoke(cli, [*options, "--json", str(results)])
    assert outcome.exit_code == 0, outcome.output
    assert "Test accuracy" in outcome.stdout
    assert json.loads(results.read_text()) == dict(load(path).training)


def test_bad_values_are_one_line_and_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    for options, message in (
        ([*OPTIONS, "--epochs", "0"], "epochs: 0 must be at least 1"),
        ([*OPTIONS, "--model", "lstm"], "no preset for model lstm"),
        (["train", "--task", "smnist", "--model", "gsu"], "--data must name the folder"),
    ):
        outcome = CliRunner().invoke(cli, [*options, "-o", str(path)])
        assert outcome.exit_code == 1
        assert message in outcome.stderr
        assert outcome.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
