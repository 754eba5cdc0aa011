from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.compile import compile_model
from neurossm.program import Program
from neurossm.program.certificate import derive


@pytest.fixture
def arguments(networks: ModuleType, tmp_path: Path) -> list[str]:
    graph = networks.random_graph(3, channels=4, modes=2, blocks=1)
    graph.save(tmp_path / "model.h5")
    compile_model(graph).save(tmp_path / "program.h5")
    data = np.random.default_rng(0).integers(0, 256, (5, 16, 1), np.uint8)
    np.savez(tmp_path / "data.npz", x=data, y=np.array([0, 1, 2, 0, 1]))
    return [
        "report",
        str(tmp_path / "program.h5"),
        "--data",
        str(tmp_path / "data.npz"),
        "--engine",
        "reference",
    ]


def test_page_plots_and_json(arguments: list[str], tmp_path: Path) -> None:
    page, plots = tmp_path / "out.html", tmp_path / "plots"
    model = str(tmp_path / "model.h5")
    result = CliRunner().invoke(
        cli,
        [*arguments, "--model", model, "-o", str(page), "--plots", str(plots), "--json", "-"],
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["report"] == str(page)
    assert found["passed"] is True
    assert found["verification"]["samples"] == found["profile"]["samples"] == 5
    assert found["verification"]["accuracy"]["float"] is not None
    assert "<title>NeuroSSM report: data.npz on loihi2-sim</title>" in page.read_text("utf-8")
    assert len(list(plots.iterdir())) == 20


def test_people_are_told_where_it_is(arguments: list[str], tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    result = CliRunner().invoke(cli, [*arguments, "-o", str(page), "--limit", "2"])
    first, *between, last = result.stdout.splitlines()
    assert all("MODEL ITSELF IS NEAR CHANCE" in line for line in between)
    assert first.startswith("2 samples; passed: one engine ran, none was compared; ")
    assert first.endswith("the model survives (100.00% same top-1)")
    assert last == f"wrote {page}"
    assert "Only the first 2 of 5 samples were used." in page.read_text("utf-8")


def test_a_bad_output_is_found_before_the_work(arguments: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, [*arguments, "-o", str(tmp_path / "no" / "out.html")])
    assert result.exit_code == 1
    assert "does not exist; create it first" in result.stderr


def test_a_model_that_does_not_survive_fails(arguments: list[str], tmp_path: Path) -> None:
    program = Program.load(arguments[1])
    readout = program.readout
    upside_down = replace(readout, weight=-readout.weight, bias=-readout.bias)
    program.with_ops(derive((*program.ops[:-1], upside_down))).save(arguments[1])
    page = tmp_path / "out.html"
    result = CliRunner().invoke(cli, [*arguments, "-o", str(page)])
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert "THE MODEL DOES NOT SURVIVE" in result.stdout
    assert "THE MODEL DOES NOT SURVIVE" in page.read_text("utf-8")
