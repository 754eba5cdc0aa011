"""From a foreign file to integers: import, compile, verify, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from neurossm.cli import cli

Write = Callable[..., Path]

SPIKES = ("--input", "uint8", "--activation", "spike", "--residual", "sum")
GSU = ("--input", "uint8", "--residual", "sum")
LAYER = ("--norm", "layer")
NO_NORM = ("--activation", "spike", "--norm", "none", "--residual", "sum")


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def _ok(*arguments: object) -> Result:
    result = _run(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def folder(foreign: ModuleType, write: Write, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes source.ckpt of a kind, and labelled data for it."""

    def prepare(name: str) -> Path:
        kind = foreign.KINDS[name]
        state = foreign.random_state(kind)
        write({"state_dict": state})
        x = foreign.random_input(kind, samples=12, steps=30)
        y = foreign.evaluate(kind, state, x).logits.argmax(axis=1)
        np.savez(tmp_path / "data.npz", x=x, y=y)
        return tmp_path

    return prepare


def _verify(folder: Path, other: str = "fast") -> Any:
    arguments = ("--data", folder / "data.npz", "--model", folder / "model.pt")
    engines = ("--engine", "reference", "--engine", other)
    _ok("verify", folder / "p.h5", *arguments, *engines, "--json", folder / "verify.json")
    return json.loads((folder / "verify.json").read_text())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("official binary-s4d", SPIKES),
        ("s4 in example.py, prenorm", (*SPIKES, *LAYER, "--prenorm")),
    ],
)
def test_binary_s4d(name: str, options: tuple[str, ...], folder: Callable[[str], Path]) -> None:
    at = folder(name)
    _ok("import", at / "source.ckpt", "-o", at / "model.pt", *options)
    _ok("compile", at / "model.pt", "--target", "loihi2-sim", "-o", at / "p.h5")
    results = _verify(at)
    assert results["accuracy"]["float"] == 1.0  # the labels are what the transcription computes
    assert results["passed"]
    assert results["engines"][0]["mismatches"] == 0
    for rung in ("float_approximated", "approximated_fixed"):
        assert [row["name"] for row in results["rungs"][rung]["layers"]] == ["blocks.0", "blocks.1"]
        assert all(row["spike_agreement"] > 0.9 for row in results["rungs"][rung]["layers"])


def test_gsu_gets_its_threshold_from_calibration(folder: Callable[[str], Path]) -> None:
    at = folder("official gsu")
    source = ("import", at / "source.ckpt", "-o", at / "model.pt", *GSU)
    compile_ = ("compile", at / "model.pt", "--target", "loihi2-sim", "-o", at / "p.h5")
    _ok(*source)
    refused = _run(*compile_)
    assert refused.exit_code == 1
    assert "--calibration" in refused.stderr
    assert not (at / "p.h5").exists()

    _ok(*compile_, "--calibration", at / "data.npz", "--json", at / "compile.json")
    named = json.loads((at / "compile.json").read_text())["approximations"]
    assert "blocks.0.ternary:threshold" in [row["name"] for row in named]
    results = _verify(at)
    assert results["accuracy"]["float"] == 1.0
    cost = results["rungs"]["float_approximated"]["layers"]
    # One threshold for all steps is not one for each: it must show, and not as the integers' fault.
    assert all(row["spike_agreement"] < 1.0 for row in cost)
    assert all(row["spike_agreement"] > 0.5 for row in cost)
    first = results["rungs"]["approximated_fixed"]["layers"][0]
    assert first["spike_agreement"] > 0.98


def test_gsu_brings_its_calibration_along(folder: Callable[[str], Path]) -> None:
    at = folder("official gsu, stand-alone kernel")
    data = ("--calibration", at / "data.npz")
    _ok("import", at / "source.ckpt", "-o", at / "model.pt", *GSU, *data)
    _ok("compile", at / "model.pt", "--target", "loihi2-sim", "-o", at / "p.h5")
    assert _verify(at)["rungs"]["float_approximated"] is not None


@pytest.mark.lava
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("official binary-s4d", SPIKES),
        ("official binary-s4d, postnorm", (*SPIKES, *LAYER, "--discretization", "zoh")),
        ("official binary-s4d, tokens, no norm", NO_NORM),
        ("official gsu", GSU),
        ("official gsu, postnorm, no activation", (*GSU, "--activation", "none")),
        ("official gsu, stand-alone kernel", GSU),
        ("s4d.py in example.py", (*SPIKES, *LAYER, "--postnorm")),
        ("s4 in example.py, prenorm", (*SPIKES, *LAYER, "--prenorm")),
        ("s4 in train.py", ("--input", "float:0:255", *SPIKES[2:])),
    ],
)
def test_lava_equals_the_reference(
    name: str, options: tuple[str, ...], folder: Callable[[str], Path], foreign: ModuleType
) -> None:
    at = folder(name)
    if "float:0:255" in options:
        with np.load(at / "data.npz") as data:
            np.savez(at / "data.npz", x=data["x"].astype(float), y=data["y"])
    _ok("import", at / "source.ckpt", "-o", at / "model.pt", *options)
    data = ("--calibration", at / "data.npz") if "gsu" in name else ()
    _ok("compile", at / "model.pt", "--target", "loihi2-sim", "-o", at / "p.h5", *data)
    results = _verify(at, "lava")
    assert results["passed"]
    (pair,) = results["engines"]
    assert {pair["a"], pair["b"]} == {"reference", "lava"}
    assert pair["mismatches"] == 0
    kind = foreign.KINDS[name]
    # Of each block at least spikes and residual sum, 12 samples of 30 steps, and 3 logits each.
    assert pair["compared"] >= 2 * kind.blocks * foreign.H * 12 * 30 + 3 * 12
    assert set(results["rungs"]) == {"float_approximated", "approximated_fixed"}


def test_json(folder: Callable[[str], Path]) -> None:
    at = folder("official binary-s4d, tokens, no norm")
    result = _ok("import", at / "source.ckpt", "-o", at / "model.pt", *NO_NORM, "--json", "-")
    content = json.loads(result.stdout)
    assert content["config"]["input"]["kind"] == "tokens"
    assert content["settings"]["encoder"] == {"value": "embedding of 9", "origin": "names"}
    state = torch.load(at / "source.ckpt", weights_only=True)["state_dict"]
    assert content["parameters"] == sum(value.numel() for value in state.values())
