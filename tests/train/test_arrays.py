"""A user's own arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurossm.errors import InputError
from neurossm.models import InputSpec, ModelConfig, Network, load
from neurossm.train import settings_of, train
from neurossm.train.arrays import array_task
from neurossm.train.objective import accuracy, loss_of, predict
from neurossm.train.tasks import Samples


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def tones(seed: int, count: int) -> dict[str, Any]:
    """Rising or falling ramps of 4 to 12 steps; what is behind their end says the opposite."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 13, count)
    y = rng.integers(0, 2, count)
    t = np.arange(12)[None]
    sign = np.where(y, 1.0, -1.0)[:, None] * np.where(t < lengths[:, None], 1.0, -3.0)
    ramp = sign * (t % lengths[:, None] + 1) / lengths[:, None]
    x = np.stack([ramp, rng.uniform(-1, 1, ramp.shape)], axis=-1).clip(-3, 3)
    return {"x": x.astype(np.float32), "y": y, "lengths": lengths}


def test_own_data_of_different_lengths(tmp_path: Path) -> None:
    data = write(tmp_path / "train.npz", **tones(0, 400))
    test = write(tmp_path / "test.npz", **tones(1, 100))
    given: dict[tuple[str, str], Any] = {("", "data"): str(data), ("", "eval"): str(test)}
    given |= {
        ("", "input"): "float:-3:3",
        ("training", "validation"): 0.2,
        ("training", "epochs"): 3,
    }
    given |= {("model", "d_model"): 8, ("model", "d_state"): 4, ("training", "batch_size"): 16}
    outcome = train(settings_of("binary-s4d-small", given=given), tmp_path / "model.pt")
    assert outcome.training["held_out_samples"] == 80  # a fifth of 400
    assert outcome.training["test_samples"] == 100
    assert outcome.training["test_accuracy"] > 0.95
    found = load(tmp_path / "model.pt")
    config = found.config
    held = array_task(data, test, "float:-3:3").holding_out(0.2)
    assert held.train.lengths is not None
    assert found.calibration_lengths is not None
    assert found.calibration_lengths.tolist() == held.train.lengths[:64].tolist()
    assert (config.input, config.classes) == (InputSpec.real(2, -3, 3), 2)


def test_a_class_at_every_step(tmp_path: Path) -> None:
    """Whether the ramp is above 0; what stands behind a sample's end is no class."""
    arrays = tones(0, 300)
    y = (arrays["x"][:, :, 0] > 0).astype(int)
    y[np.arange(12) >= arrays["lengths"][:, None]] = -1
    data = write(tmp_path / "train.npz", **{**arrays, "y": y})
    given: dict[tuple[str, str], Any] = {("", "data"): str(data), ("", "eval"): str(data)}
    given |= {("", "input"): "float:-3:3", ("training", "epochs"): 3, ("training", "bucket"): 4}
    given |= {("model", "d_model"): 8, ("model", "d_state"): 4, ("training", "batch_size"): 16}
    with pytest.raises(InputError, match="pool mean: labels y are .samples, steps., one per step"):
        train(settings_of("binary-s4d-small", given=given))
    given[("model", "pool")] = "none"
    outcome = train(settings_of("binary-s4d-small", given=given), tmp_path / "model.pt")
    assert outcome.training["test_accuracy"] > 0.95
    samples = array_task(data, None, "float:-3:3").train
    right = outcome.model(samples.x).argmax(-1).numpy() == y
    share = right[y >= 0].mean()
    assert outcome.training["test_accuracy"] == pytest.approx(share)
    with torch.no_grad():  # each sample by the mean over its steps
        chances = outcome.model(samples.x).log_softmax(-1).numpy()
        own = [
            -np.mean([chances[i, t, y[i, t]] for t in range(n)])
            for i, n in enumerate(arrays["lengths"])
        ]
        assert float(loss_of(outcome.model, samples)) == pytest.approx(np.mean(own), rel=1e-5)
    whole = write(tmp_path / "whole.npz", **arrays)
    given[("", "data")] = str(whole)
    with pytest.raises(InputError, match="pool none: labels y are .samples., one per sample"):
        train(settings_of("binary-s4d-small", given=given))


def test_steps_behind_the_end_change_nothing(tmp_path: Path) -> None:
    task = array_task(write(tmp_path / "a.npz", **tones(0, 9)), None, "float:-3:3")
    assert len(task.test) == len(task.held_out) == 0
    torch.manual_seed(0)
    network = Network(ModelConfig("gsu", task.input, task.classes, 2, 8, 4)).eval()
    lengths = task.train.lengths
    assert lengths is not None
    together = network(task.train.x, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = network(task.train.x[row : row + 1, :length])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-5, atol=1e-6)
    classes = predict(network, task.train.x, 4, lengths)
    assert torch.equal(classes, together.argmax(-1))
    assert accuracy(network, task.train) == float((classes == task.train.y).double().mean())


@pytest.mark.parametrize(
    ("x", "given", "spec", "shape"),
    [
        (np.zeros((3, 5, 2), np.uint8), None, InputSpec.uint8(2), (3, 5, 2)),
        (np.zeros((3, 5), np.uint8), None, InputSpec.uint8(1), (3, 5, 1)),
        (np.full((3, 5), 6), "tokens", InputSpec.tokens(7), (3, 5)),
        (np.full((3, 5), 6), "tokens:9", InputSpec.tokens(9), (3, 5)),
        (np.full((3, 5, 4), 6), "counts:8", InputSpec.counts(4, 8), (3, 5, 4)),
        (np.full((3, 5), 0.5), "float:0:1", InputSpec.real(1, 0, 1), (3, 5, 1)),
    ],
)
def test_kinds_of_input(tmp_path: Path, x: Any, given: str | None, spec: Any, shape: Any) -> None:
    task = array_task(write(tmp_path / "a.npz", x=x, y=[0, 2, 1]), None, given)
    assert task.input == spec
    assert task.classes == 3
    assert task.train.x.shape == shape


@pytest.mark.parametrize(
    ("arrays", "given", "message"),
    [
        ({"x": np.zeros((3, 5, 2))}, None, r"x is float64 from 0 to 0: say what it is by --input"),
        ({"x": np.full((3, 5), 2.0)}, "float:0:1", "--input float:0:1: x goes from 2 to 2"),
        ({"x": np.full((3, 5), np.nan)}, "float:0:1", "x goes from nan to nan"),
        ({"x": np.zeros((3, 5))}, "real:0:1", "--input real:0:1: not understood"),
        ({"x": np.zeros((3, 5))}, "float:0", "--input float:0: not understood"),
        ({"x": np.zeros((3, 5))}, "tokens", "x is float64; the input is tokens"),
        ({"x": np.zeros((3, 5, 2), int)}, "tokens", r"tokens are \(samples, steps\)"),
        ({"x": np.zeros(3)}, "float:0:1", r"x is \(3,\); expected \(samples, steps, values\)"),
        ({"y": np.zeros(2, int)}, None, r"y is int64 \(2,\); expected 3 integers"),
        ({"y": np.zeros(3)}, None, r"y is float64 \(3,\); expected 3 integers"),
        ({"y": np.array([0, -1, 0])}, None, "y reaches from -1 to 0; classes are counted from 0"),
        ({"lengths": np.array([1, 5, 6])}, None, "lengths from 1 to 6; x has 5 steps"),
        ({"lengths": np.array([0, 5, 5])}, None, "lengths from 0 to 5"),
    ],
)
def test_what_does_not_fit(
    tmp_path: Path, arrays: dict[str, Any], given: str | None, message: str
) -> None:
    whole = {"x": np.zeros((3, 5), np.uint8), "y": np.array([0, 1, 1]), **arrays}
    with pytest.raises(InputError, match=message):
        array_task(write(tmp_path / "a.npz", **whole), None, given)


def test_a_test_of_other_classes_or_sizes(tmp_path: Path) -> None:
    good = write(tmp_path / "a.npz", x=np.zeros((3, 5, 2), np.uint8), y=[0, 1, 1])
    other = write(tmp_path / "b.npz", x=np.zeros((3, 7, 2), np.uint8), y=[0, 2, 1])
    with pytest.raises(InputError, match=r"b\.npz: y holds 2; there are 2 classes"):
        array_task(good, other, None)
    wide = write(tmp_path / "c.npz", x=np.zeros((3, 7, 3), np.uint8), y=[0, 1, 1])
    with pytest.raises(InputError, match=r"c\.npz: x has 3 values a step, not 2"):
        array_task(good, wide, None)


@pytest.mark.parametrize("filling", [np.nan, np.inf, -99.0])
def test_what_fills_up_short_samples_is_never_read(tmp_path: Path, filling: float) -> None:
    arrays = tones(0, 40)
    spoilt = {**arrays, "x": arrays["x"].copy()}
    spoilt["x"][np.arange(12) >= arrays["lengths"][:, None]] = filling
    tasks = [
        array_task(write(tmp_path / f"{index}.npz", **each), None, "float:-3:3")
        for index, each in enumerate((arrays, spoilt))
    ]
    assert torch.equal(tasks[0].train.x, tasks[1].train.x)
    assert bool(tasks[1].train.x.isfinite().all())


def test_samples_with_and_without_lengths_are_joined(tmp_path: Path) -> None:
    some = array_task(write(tmp_path / "a.npz", **tones(0, 5)), None, "float:-3:3").train
    whole = Samples(some.x, some.y)
    joined = some.joined(whole).lengths
    assert joined is not None
    assert joined.tolist() == [*tones(0, 5)["lengths"], *[12] * 5]
    assert whole.joined(whole).lengths is None
