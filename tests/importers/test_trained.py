"""Trained networks, imported: one of the official code, and one of ours in its layout.

`data/official_gsu.ckpt` was trained with the paper's official code, snnTorch replaced by the same
spike and surrogate gradient (two layers, 32 channels, prenorm, tied A and B; 20 epochs on the first
8,000 digits of ``examples/smnist/mnist_test.npz``, every other row and column; 97.95 % on the other
2,000), and saved as a Lightning checkpoint with OmegaConf's hyper-parameters.
`data/official_gsu.npz` is what that code computes in double precision on ten digits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from neurossm.cli import cli
from neurossm.compile import compile_model
from neurossm.graph.evaluate import evaluate
from neurossm.importers import ImportOptions, import_checkpoint
from neurossm.models import Network, load
from neurossm.models.export import export

DATA = Path(__file__).parent / "data"
SMNIST = Path(__file__).parents[2] / "examples" / "smnist"
UNSEEN = 8000


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """All digits, every other row and column, as sequences (10000, 196, 1)."""
    with np.load(SMNIST / "mnist_test.npz") as file:
        x, y = file["x"], file["y"]
    return x.reshape(-1, 28, 28)[:, ::2, ::2].reshape(-1, 196, 1), y


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_the_original_computed_the_same(digits: tuple[np.ndarray, np.ndarray]) -> None:
    imported = import_checkpoint(DATA / "official_gsu.ckpt", options=ImportOptions("uint8"))
    x = digits[0][UNSEEN : UNSEEN + 10]
    with np.load(DATA / "official_gsu.npz") as file:
        logits, spikes = file["logits"], file["spikes"]  # (10, 10), (2, 10, 196, 32)
    with torch.no_grad():
        got = imported.model.double()(torch.from_numpy(x))
    np.testing.assert_allclose(got, logits, rtol=0, atol=1e-9)
    names = [f"blocks.{i}.ternary" for i in range(2)]
    values = evaluate(export(imported.model), x, names)
    for i, name in enumerate(names):
        assert {-1.0, 0.0, 1.0} == set(np.unique(spikes[i]))
        np.testing.assert_array_equal(values[name], spikes[i])


def test_from_the_official_checkpoint_to_integers(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    (x, y), model, program = digits, tmp_path / "model.pt", tmp_path / "program.h5"
    calibration, data = tmp_path / "calibration.npz", tmp_path / "data.npz"
    np.savez(calibration, x=x[:32])
    np.savez(data, x=x[UNSEEN : UNSEEN + 150], y=y[UNSEEN : UNSEEN + 150])

    source = ("import", DATA / "official_gsu.ckpt", "-o", model)
    refused = _run(*source)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "--input uint8" in refused.stderr
    assert _run(*source, "--input", "uint8").exit_code == 0

    compile_ = ("compile", model, "--target", "loihi2-sim", "-o", program)
    refused = _run(*compile_)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "blocks.0.ternary" in refused.stderr
    assert "--calibration" in refused.stderr
    assert _run(*compile_, "--calibration", calibration).exit_code == 0

    page, results = tmp_path / "report.html", tmp_path / "report.json"
    engines = ("--engine", "fast", "--engine", "reference")
    report = _run(
        "report", program, "--data", data, "--model", model, *engines, "-o", page, "--json", results
    )
    assert report.exit_code == 0, report.output
    found = json.loads(results.read_text())["verification"]
    assert found["passed"]
    assert found["engines"][0]["mismatches"] == 0
    assert found["engines"][0]["compared"] > 2 * 32 * 196 * 100
    # Measured on 2,000 digits: 98 % in float, 97 % with static thresholds, as many in integers.
    assert found["accuracy"]["float"] >= 0.95
    assert found["accuracy"]["fixed"] >= 0.93
    cost, integers = (found["rungs"][f"{a}_{b}"] for a, b in (RUNG_1, RUNG_2))
    assert cost["top1_agreement"] >= 0.95
    assert integers["top1_agreement"] >= 0.98
    # The price of static thresholds is paid at the first rung, and shows layer by layer.
    for layer, after in zip(cost["layers"], integers["layers"], strict=True):
        assert 0.7 < layer["spike_agreement"] < 0.95
        assert after["spike_agreement"] > 0.99

    shown = _run("verify", program, "--data", data, "--model", model, "--limit", 20).stdout
    assert shown.count("float - approximated") == 2  # layers
    assert shown.count("approximated - fixed") == 2

    text = page.read_text()
    for named in ("blocks.0.ternary:threshold", "blocks.1.ternary:threshold", "of the spikes"):
        assert named in text
    assert "trained to approximated" in text


@pytest.mark.lava
def test_the_official_network_on_lava(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    model = import_checkpoint(DATA / "official_gsu.ckpt", options=ImportOptions("uint8")).model
    program = compile_model(model, calibration=digits[0][:16])
    x = digits[0][UNSEEN : UNSEEN + 3]
    names = [f"blocks.{i}.{part}" for i in range(2) for part in ("ternary", "second", "add")]
    expected = program.run(x, engine="reference", record=names)
    got = program.run(x, engine="lava", record=names)
    for name in names:
        np.testing.assert_array_equal(got.tensors[name], expected.tensors[name], err_msg=name)
    np.testing.assert_array_equal(got.logits, expected.logits)
    assert -1 in expected.tensors["blocks.0.ternary"]


RUNG_1, RUNG_2 = ("float", "approximated"), ("approximated", "fixed")

NAMES = {
    "mixer.weight": "layer.GSU",
    "mixer.bias": "layer.GSU_bias",
    "mixer.norm.": "layer.norm.",
    "mixer.ssm.D": "layer.D",
    "mixer.ssm.A_real_log": "layer.kernel.kernel.inv_A_real",
    "mixer.ssm.": "layer.kernel.kernel.",
    "norm.": "norm.norm.",
}


def _official_layout(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename a GSU network's weights to what the official code calls them."""
    made: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        if part == "blocks":
            index, _, rest = rest.partition(".")
            start = next(key for key in NAMES if rest.startswith(key))
            lead = rest in ("mixer.ssm.C", "mixer.ssm.D")  # one kernel of one channel
            new = f"model.layers.{index}.{NAMES[start]}{rest[len(start) :]}"
            made[new] = value[None] if lead else value
        else:
            lead_of = {"encoder": "encoder.0.", "decoder": "decoder.0.output_transform."}
            made[lead_of.get(part, "model.norm.norm.") + rest] = value
    return made


@pytest.mark.parametrize("name", ["gsu_small", "gsu"])
def test_our_own_parameters_through_the_official_layout(
    name: str, write: Callable[[object], Path]
) -> None:
    with np.load(SMNIST / "mnist_test.npz") as file:
        x = torch.from_numpy(file["x"][:4])
    trained = load(SMNIST / f"{name}.pt").model
    dynamic = Network(replace(trained.config, threshold="dynamic")).eval()
    state = {k: v for k, v in trained.state_dict().items() if not k.endswith("threshold.running")}
    dynamic.load_state_dict(state)

    options = ImportOptions("uint8", discretization="zoh", residual="sum")
    imported = import_checkpoint(write(_official_layout(state)), options=options).model
    assert imported.config.threshold == "dynamic"
    assert imported.config.prenorm == trained.config.prenorm
    with torch.no_grad():
        wanted, got = dynamic.double()(x), imported.double()(x)
        static = trained.double()(x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)
    assert bool((got.argmax(1) == static.argmax(1)).all())
    assert float((got - static).abs().max()) > 1e-3  # the threshold does count
