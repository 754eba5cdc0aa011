"""Trainings that begin with a checkpoint, and parts that stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from neurossm.errors import InputError
from neurossm.models import InputSpec, ModelConfig, Network, load, save
from neurossm.train import TrainLimits, TrainSettings, settings_of, train
from neurossm.train.freeze import freeze, hold_frozen
from neurossm.train.objective import accuracy
from neurossm.train.start import start
from neurossm.train.tasks.token_order import token_order

TOKENS = InputSpec.tokens(4)


def graded(layer: str = "s4d", **values: Any) -> Network:
    torch.manual_seed(3)
    activation = "gelu" if layer == "s4d" else None
    fields: dict[str, Any] = {"n_layers": 1, "d_model": 8, "d_state": 4, "activation": activation}
    return Network(ModelConfig(layer, TOKENS, 2, **{**fields, **values})).eval()  # type: ignore[arg-type]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "graded.pt"
    save(path, graded())
    return path


def chosen(init: Path, **values: Any) -> TrainSettings:
    given: dict[tuple[str, str], Any] = {("", "task"): "token-order", ("", "init"): str(init)}
    given |= {("training", "epochs"): 1, ("training", "batch_size"): 16}
    for name, value in values.items():
        table = "" if name == "freeze" else "model" if name == "layer" else "training"
        given[table, name] = value
    return settings_of("gsu", given=given)


def test_a_checkpoint_brings_its_sizes_and_another_layer_its_weights(checkpoint: Path) -> None:
    settings = chosen(checkpoint, layer="binary-s4d")
    assert settings.model["d_model"] == 8  # not the preset's 128
    assert settings.model["layer"] == "binary-s4d"
    assert "activation" not in settings.model
    network, fresh = start(settings.model, TOKENS, 2, checkpoint)
    assert fresh == []
    given, taken = graded().state_dict(), network.state_dict()
    assert all(torch.equal(given[name], taken[name]) for name in given)
    x = torch.randint(4, (5, 9))
    assert not torch.equal(network.eval()(x), graded()(x))  # it spikes now
    assert torch.equal(
        start(chosen(checkpoint).model, TOKENS, 2, checkpoint)[0].eval()(x), graded()(x)
    )


def test_a_float64_checkpoint_trains_in_float32(tmp_path: Path) -> None:
    save(tmp_path / "double.pt", graded().double())
    network, _ = start(chosen(tmp_path / "double.pt").model, TOKENS, 2, tmp_path / "double.pt")
    assert network.dtype == torch.float32


def test_other_classes_get_a_fresh_decoder(checkpoint: Path) -> None:
    network, fresh = start(chosen(checkpoint).model, TOKENS, 3, checkpoint)
    assert fresh == ["decoder.weight", "decoder.bias"]
    assert network.decoder.weight.shape == (3, 8)
    assert torch.equal(
        network.state_dict()["encoder.weight"], graded().state_dict()["encoder.weight"]
    )


def test_what_does_not_fit_is_refused(checkpoint: Path) -> None:
    fields = chosen(checkpoint).model
    with pytest.raises(InputError, match="reads InputSpec.*tokens.*the task gives"):
        start(fields, InputSpec.uint8(1), 2, checkpoint)
    with pytest.raises(
        InputError, match=r"do not fit the model: blocks.0.mixer.bias, .* s4d of 1 x 8"
    ):
        start({**fields, "layer": "gsu", "activation": "gelu"}, TOKENS, 2, checkpoint)
    with pytest.raises(InputError, match=r"do not fit the model: blocks.0.mixer.dense.bias"):
        start({**fields, "d_model": 16}, TOKENS, 2, checkpoint)


def test_frozen_parts_stay(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = token_order(length=9, vocabulary=4, samples=128)
    monkeypatch.setattr("neurossm.train.tasks.registry.token_order", lambda: small)
    patterns = ("encoder.*", "*.ssm.A_*", "blocks.0.norm.*")
    outcome = train(chosen(checkpoint, freeze=patterns), limits=TrainLimits(steps=3))
    before = graded().state_dict()
    same = {
        name
        for name, value in outcome.model.state_dict().items()
        if torch.equal(value, before[name])
    }
    frozen = {"encoder.weight", "blocks.0.norm.weight", "blocks.0.norm.bias"}
    frozen |= {"blocks.0.mixer.ssm.A_real_log", "blocks.0.mixer.ssm.A_imag"}
    assert set(outcome.training["frozen"]) == frozen
    statistics = {f"blocks.0.norm.{name}" for name in ("running_mean", "running_var")}
    assert same == frozen | statistics | {"blocks.0.norm.num_batches_tracked"}


def test_layers_without_parameters_follow_the_frozen_one_they_are_in() -> None:
    network = graded("gsu", dropout=0.5).train()
    freeze(network, ["blocks.0.*"])
    hold_frozen(network)
    assert not network.blocks[0].mixer.threshold.training
    assert not network.blocks[0].dropout.training
    assert network.decoder.training


def test_bad_patterns_are_refused() -> None:
    with pytest.raises(InputError, match=r"'encoders\.\*' matches no parameter; names are encoder"):
        freeze(graded(), ["encoders.*"])
    with pytest.raises(InputError, match="nothing is left to train"):
        freeze(graded(), ["*"])


def test_fine_tuning_improves_on_the_plain_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GELU by spikes: the accuracy drops at once, and comes back in a tenth of the training."""
    easy = token_order(length=12, vocabulary=3, samples=1024)

    monkeypatch.setattr("neurossm.train.tasks.registry.token_order", lambda: easy)
    given: dict[tuple[str, str], Any] = {("", "task"): "token-order", ("training", "epochs"): 10}
    given |= {("training", "batch_size"): 32, ("model", "d_model"): 16, ("model", "d_state"): 8}
    graded_one = train(settings_of("s4d-gelu-small", given=given), tmp_path / "graded.pt")
    settings = chosen(tmp_path / "graded.pt", layer="binary-s4d", epochs=2, batch_size=32, lr=0.003)
    swapped, _ = start(settings.model, easy.input, easy.classes, tmp_path / "graded.pt")
    tuned = train(settings, tmp_path / "spiking.pt")
    plain = accuracy(swapped, easy.test)
    assert graded_one.training["test_accuracy"] > 0.95
    assert plain < 0.9
    assert tuned.training["test_accuracy"] > plain + 0.1
    assert load(tmp_path / "spiking.pt").config.layer == "binary-s4d"
