from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.models import InputSpec, ModelConfig, Network, save
from neurossm.models.checkpoint import load
from neurossm.models.response import response_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(
        "binary-s4d", InputSpec.real(1, -1, 1), 2, n_layers=1, d_model=4, d_state=8
    )
    x = np.random.default_rng(0).uniform(-1, 1, (4, 20, 1)).astype(np.float32)
    save(tmp_path / "model.pt", Network(config), x)
    return tmp_path / "model.pt"


def test_writes_a_model_of_fewer_modes(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "fewer.pt"
    arguments = ["reduce", str(model), "-o", str(out), "--modes", "2", "--keep-dead"]
    outcome = CliRunner().invoke(cli, [*arguments, "--polish-steps", "2", "--json", "-"])
    assert outcome.exit_code == 0, outcome.output
    results = json.loads(outcome.stdout)
    assert (results["modes_before"], results["modes"], results["length"]) == (16, 8, 20)
    made = load(out)
    assert response_of(made.model.blocks[0].mixer.ssm).there.sum() == 8  # type: ignore[union-attr, index]
    assert made.calibration is not None
    assert made.training["reduced_from"] == load(model).sha256


def test_people_get_a_table(model: Path, tmp_path: Path) -> None:
    arguments = ["reduce", str(model), "-o", str(tmp_path / "fewer.pt"), "--max-error", "0.5"]
    outcome = CliRunner().invoke(cli, [*arguments, "--polish-steps", "0"])
    assert outcome.exit_code == 0, outcome.output
    assert "blocks.0" in outcome.stdout
    assert "16 modes became" in outcome.stdout


def test_a_goal_is_needed(model: Path, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(cli, ["reduce", str(model), "-o", str(tmp_path / "fewer.pt")])
    assert outcome.exit_code == 1
    assert "give one of --modes, --max-error, --max-drop" in outcome.stderr
    assert not (tmp_path / "fewer.pt").exists()
