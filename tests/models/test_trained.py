"""The shipped checkpoints do what their README says, and are fit to be compiled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurossm.graph.evaluate import evaluate
from neurossm.models import load
from neurossm.models.export import export
from neurossm.train.objective import predict

FOLDER = Path(__file__).parents[2] / "examples" / "smnist"
MEDIANS = {"binary_s4d": 0.992, "gsu": 0.993, "gsu_small": 0.992, "binary_s4d_small": 0.99}
RESULTS: dict[str, Any] = json.loads((FOLDER / "results.json").read_text())


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    with np.load(FOLDER / "mnist_test.npz") as data:
        return torch.from_numpy(data["x"]), torch.from_numpy(data["y"].astype(np.int64))


def test_digits_are_the_original_files(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    assert x.shape == (10000, 784, 1)
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (10000, 28, 28))
    digest = hashlib.sha256(header + x.numpy().tobytes()).hexdigest()
    assert digest == "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    header = bytes([0, 0, 8, 1]) + (10000).to_bytes(4, "big")
    digest = hashlib.sha256(header + y.numpy().astype(np.uint8).tobytes()).hexdigest()
    assert digest == "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"


@pytest.mark.parametrize("name", MEDIANS)
def test_the_shipped_seed_is_the_median_of_three(name: str) -> None:
    runs = RESULTS[name]["seeds"]
    assert len(runs) == 3
    accuracies = sorted(run["test_accuracy"] for run in runs)
    shipped = load(FOLDER / f"{name}.pt").training
    assert shipped["test_accuracy"] == accuracies[1] >= MEDIANS[name]
    assert shipped["seed"] == RESULTS[name]["shipped_seed"]
    assert shipped["parameters"] == RESULTS[name]["parameters"]


@pytest.mark.parametrize("name", MEDIANS)
def test_fit_to_be_compiled(name: str, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = load(FOLDER / f"{name}.pt")
    assert found.config.input.kind == "uint8"
    assert found.config.threshold == "static"
    assert found.calibration is not None
    assert found.calibration.shape == (64, 784, 1)
    test = {row.tobytes() for row in digits[0].numpy()}
    assert not any(row.tobytes() in test for row in found.calibration)
    for block in found.model.blocks:
        a_bar, _ = block.mixer.ssm.discretise()
        assert float(a_bar.detach().abs().max()) < 1 - 2**-12  # poles well inside the unit circle


def test_graph_of_a_trained_model_agrees_with_it(
    digits: tuple[torch.Tensor, torch.Tensor],
) -> None:
    found = load(FOLDER / "gsu_small.pt")
    x = digits[0][:4]
    with torch.no_grad():
        expected = found.model.double()(x).numpy()
    logits = evaluate(export(found), x.numpy())["decoder"].reshape(expected.shape)
    np.testing.assert_allclose(logits, expected, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEDIANS)
def test_accuracy_on_the_first_digits(name: str, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    (count, expected), *_ = RESULTS[name]["right_of_first"].items()
    x, y = digits[0][: int(count)], digits[1][: int(count)]
    right = int((predict(load(FOLDER / f"{name}.pt").model, x, batch_size=20) == y).sum())
    # float32 on another machine may flip single spikes, hence one digit of slack
    assert abs(right - expected) <= 1
