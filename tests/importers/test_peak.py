"""GSUs of the paper's code, compiled for a target that knows the largest activation of a step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm.cli import cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["small", "official"])
def test_nearly_every_spike_is_that_of_the_trained_network(name: str, tmp_path: Path) -> None:
    """No data are needed, and no threshold is replaced; both networks run freely."""
    checkpoint = ROOT / "examples" / "official" / "gsu.ckpt"
    count, options = 8, ["--input", "uint8"]
    with np.load(ROOT / "examples" / "smnist" / "mnist_test.npz") as file:
        x = file["x"][:count]
    if name == "small":
        checkpoint = Path(__file__).with_name("data") / "official_gsu.ckpt"
        x = x.reshape(-1, 28, 28)[:, ::2, ::2].reshape(count, 196, 1)
    np.savez(tmp_path / "data.npz", x=x)

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    model, program = tmp_path / "model.pt", tmp_path / "program.h5"
    run("import", checkpoint, "-o", model, *options)
    compiled = run("compile", model, "--target", "cpu", "-o", program, "--json", "-")
    blocks = 2 if name == "small" else 4
    assert json.loads(compiled)["dynamic_thresholds"] == [
        f"blocks.{i}.ternary" for i in range(blocks)
    ]
    assert [item["name"] for item in json.loads(compiled)["approximations"]] == ["gelu"]
    data = ("--data", tmp_path / "data.npz", "--model", model)
    found = json.loads(run("verify", program, *data, "--json", "-"))
    assert found["survives"]
    agreement = [layer["spike_agreement"] for layer in found["layers"]]
    assert len(agreement) == blocks
    assert min(agreement) >= 0.98
    assert max(agreement) > 0.999
