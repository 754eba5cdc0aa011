"""Graded S4D compiled: proved, near the float model, and the same on every engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from neurossm.cli import cli
from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.compile.precision import layer_widths
from neurossm.cost import profile
from neurossm.graph.evaluate import evaluate
from neurossm.models import InputSpec, ModelConfig, Network, save
from neurossm.models.export import export
from neurossm.parity import verify

ACTIVATIONS = ("gelu", "relu")
SAMPLES, STEPS = 40, 60


def network(activation: str, seed: int = 0, **values: object) -> Network:
    sizes = {"n_layers": 2, "d_model": 16, "d_state": 8, "activation": activation}
    torch.manual_seed(seed)
    model = Network(ModelConfig("s4d", InputSpec.uint8(), 10, **(sizes | values))).double()
    model.train()
    with torch.no_grad():
        model(torch.from_numpy(digits(seed + 1)))
    return model.eval()


def digits(seed: int = 0, samples: int = SAMPLES) -> np.ndarray:
    """Bytes that waver around a level of each sample's own, so that logits differ."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(samples, 1, 1)) + rng.uniform(-0.3, 0.3, (samples, STEPS, 1))
    return (255 * share.clip(0, 1)).astype(np.uint8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_integers_are_near_the_float_model(activation: str, norm: str) -> None:
    graph, x = export(network(activation, norm=norm)), digits()
    program = compile_model(graph)
    assert all(op.out.proved for op in program.ops)
    found = program.run(x, engine="reference")
    assert dict(found.saturations) == {}
    expected = evaluate(graph, x)["decoder"].reshape(SAMPLES, -1)
    error = found.logits * 2.0 ** -float(program.readout.out.exponent[0]) - expected
    # What all samples have in common tells no classes apart.
    signal = expected - expected.mean(axis=0)
    assert 10 * np.log10((signal**2).sum() / (error**2).sum()) > 25
    assert np.mean(found.logits.argmax(1) == expected.argmax(1)) >= 0.98


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_weights_read_what_the_graded_width_says(activation: str) -> None:
    graph = export(network(activation))
    name = f"blocks.1.{activation}"
    for bits in (8, 12, 20):
        program = compile_model(graph, options=CompileOptions(Widths(graded=bits)))
        assert program[name].out.bits == bits
        assert program["blocks.1.value:sum"].inputs == (name,)
        assert all(op.out.proved for op in program.ops)
    assert "graded" in layer_widths(program.graph)["blocks.1"]
    narrow = compile_model(graph, options=CompileOptions(layers={"blocks.1": {"graded": 9}}))
    assert [narrow[f"blocks.{i}.{activation}"].out.bits for i in (0, 1)] == [20, 9]


def test_a_sum_that_the_accumulator_cannot_hold_narrows_what_it_reads() -> None:
    """128 weights of up to 127 leave 2^30 / (128 * 127) = 2^16.05: 17 bits with the sign."""
    graph = export(network("relu", n_layers=1, d_model=128, d_state=2))
    program = compile_model(graph)
    assert 17 <= program["blocks.0.relu"].out.bits < 20
    assert not [op for op in program.ops if op.name.endswith(":graded")]
    for half in ("value", "gate"):
        assert program[f"blocks.0.{half}:sum"].out.interval.largest().max() < 1 << 30


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_engines_give_equal_integers(activation: str) -> None:
    for seed, norm in enumerate(("batch", "layer", "none")):
        graph = export(network(activation, seed, norm=norm, d_model=5 + seed))
        program, x = compile_model(graph), digits(seed, 3)
        found = verify(program, x, None, graph, ("reference", "fast"), integers="all")
        assert found.engines[0].mismatches == 0
        assert found.engines[0].compared > 3 * STEPS * 10 * 5


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_weighted_graded_values_are_multiplied(activation: str) -> None:
    program, x = compile_model(export(network(activation))), digits(samples=2)
    name = f"blocks.0.{activation}"
    values = program.run(x, engine="reference", record=[name]).tensors[name]
    arrived = np.count_nonzero(values, axis=(0, 1))  # by channel
    weights = [program[f"blocks.0.{half}:sum"].weight for half in ("value", "gate")]
    macs = sum(int((np.count_nonzero(weight, axis=0) * arrived).sum()) for weight in weights)
    block = profile(program, x, engine="reference").layers["blocks.0"]
    assert (block.Effective_ACs, block.spikes) == (0, 0)
    assert block.Effective_MACs == macs > 0
    assert block.Dense == 2 * STEPS * 2 * 16 * 16  # samples, steps, halves, weights


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, its program and data with labels."""
    folder = tmp_path_factory.mktemp("graded")
    save(folder / "m.pt", network("gelu"))
    x = digits(samples=6)
    np.savez(folder / "d.npz", x=x, y=np.arange(6) % 3)
    assert run("compile", folder / "m.pt", "-o", folder / "p.h5").exit_code == 0
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_verify_without_spiking_layers(files: Path) -> None:
    data, model = ("--data", files / "d.npz"), ("--model", files / "m.pt")
    result = run("verify", files / "p.h5", *data, *model, "--json", files / "v.json")
    assert result.exit_code == 0, result.output
    assert "no layer spikes: predictions alone are compared" in result.output
    assert "no spike differs" not in result.output
    assert "the model survives (100.00% same top-1)" in result.output
    found = json.loads((files / "v.json").read_text())
    assert found["layers"] == []
    assert found["top1_agreement"] == 1.0
    assert {row["spike_agreement"] for row in found["per_sample"]} == {None}


def test_report_without_spiking_layers(files: Path) -> None:
    page = files / "r.html"
    result = run(
        *("report", files / "p.h5", "--data", files / "d.npz", "--model", files / "m.pt"),
        *("-o", page, "--plots", files / "plots"),
    )
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert "No layer spikes: predictions alone are compared." in text
    assert "No layer spikes: the mixing of channels multiplies graded values." in text
    assert "into additions" not in text
    assert (files / "plots" / "accuracy.svg").exists()
    assert not (files / "plots" / "rasters.svg").exists()


def test_inspect_and_profile(files: Path) -> None:
    for file in ("m.pt", "p.h5"):
        result = run("inspect", files / file)
        assert result.exit_code == 0, result.output
    assert run("profile", files / "p.h5", "--data", files / "d.npz").exit_code == 0
