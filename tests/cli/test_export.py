from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.graph import Graph
from neurossm.models import InputSpec, ModelConfig, Network, save


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = ModelConfig("gsu", InputSpec.tokens(5), 2, n_layers=1, d_model=4, d_state=2)
    save(tmp_path / "model.pt", Network(config))
    return tmp_path / "model.pt"


def test_writes_the_graph(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    outcome = CliRunner().invoke(cli, ["export", str(model), "-o", str(path), "--json", "-"])
    assert outcome.exit_code == 0, outcome.output
    results = json.loads(outcome.stdout)
    graph = Graph.load(path)
    assert [node["name"] for node in results["nodes"]] == [node.name for node in graph.nodes]
    assert results["provenance"]["sha256"] == graph.provenance["sha256"]


def test_people_get_a_table(model: Path, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(cli, ["export", str(model), "-o", str(tmp_path / "model.h5")])
    assert outcome.exit_code == 0, outcome.output
    assert "blocks.0.ternary" in outcome.stdout


def test_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_text("hello")
    path = tmp_path / "model.h5"
    outcome = CliRunner().invoke(cli, ["export", str(tmp_path / "model.pt"), "-o", str(path)])
    assert outcome.exit_code == 1
    assert "not a checkpoint" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not path.exists()
