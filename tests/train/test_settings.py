from __future__ import annotations

from pathlib import Path

import pytest

from neurossm.errors import FormatError, InputError
from neurossm.models.config import ModelConfig
from neurossm.train import make_task, presets, settings_of
from neurossm.train.__main__ import main
from neurossm.train.options import TABLES, options
from neurossm.train.settings import read_tables

TOKENS = {("", "task"): "token-order"}
FILE = """
task = "token-order"
freeze = ["encoder.*"]
[model]
layer = "binary-s4d"
d_model = 16
[training]
epochs = 3
lr = 1
clip = 0.5
[augmentation]
scale = 0.1
"""


def test_every_preset_makes_a_network_and_a_training() -> None:
    task = make_task(settings_of("gsu", given=TOKENS).source)
    for name in presets():
        settings = settings_of(name, given=TOKENS)
        config = ModelConfig(input=task.input, classes=task.classes, **settings.model)
        assert config.layer in name or config.layer == "s4d"
        assert settings.training.epochs >= 1
    assert settings_of("gsu", given=TOKENS).model["prenorm"]
    assert not settings_of("gsu-small", given=TOKENS).model["prenorm"]


def test_option_wins_over_file_and_file_over_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    given = {("training", "clip"): 0.25, ("model", "prenorm"): False}
    found = settings_of("gsu-small", path, given)
    assert found.source.task == "token-order"
    assert found.source.freeze == ("encoder.*",)
    assert found.model["layer"] == "binary-s4d"  # the file's
    assert found.model["d_model"] == 16
    assert found.model["n_layers"] == 3  # the preset's
    assert found.model["prenorm"] is False  # the option's
    assert "activation" not in found.model
    assert (found.training.epochs, found.training.lr, found.training.clip) == (3, 1.0, 0.25)
    assert found.training.label_smoothing == 0.02  # the preset's
    assert found.training.augmentation is not None
    assert found.training.augmentation.scale == 0.1
    assert found.training.augmentation.shift_pixels == 1.5  # the preset's


def test_printed_settings_are_read_again_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--task", "token-order", "--freeze", "a.*", "--freeze", 'b"c', "--no-prenorm"]
    assert main(["--preset", "s4d-relu", *options, "--data", "ü", "--print-config"]) == 0
    path = tmp_path / "printed.toml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    given = {("", "freeze"): ("a.*", 'b"c'), ("model", "prenorm"): False, ("", "data"): "ü"}
    wanted = settings_of("s4d-relu", given=TOKENS | given)
    assert settings_of(config=path) == wanted
    assert settings_of(config=path).toml() == wanted.toml()


def test_an_activation_belongs_to_its_layer() -> None:
    given = {**TOKENS, ("model", "layer"): "binary-s4d"}
    assert "activation" not in settings_of("s4d-gelu", given=given).model
    assert settings_of("s4d-gelu", given=TOKENS).model["activation"] == "gelu"


def test_every_option_says_what_it_is() -> None:
    found = {(option.table, option.name): option for option in options()}
    assert len({option.flag for option in options()}) == len(found)  # no two share a name
    assert all(option.help.endswith(".") for option in options())
    assert {table for table, _ in found} == set(TABLES)
    assert found["training", "schedule"].choices == ("one-cycle", "cosine", "constant")
    assert found["training", "warmup"].kind is float
    assert found["model", "n_ssm"].kind is int
    assert found["model", "prenorm"].kind is bool
    assert found["", "freeze"].many
    assert found["model", "d_state"].help.startswith("Blocks, channels H, and state size")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3", "epochs is unknown; known there are task, data, eval, input, init, freeze"),
        ("[training]\nepoch = 3", r"\[training\] epoch is unknown; known there are epochs, "),
        ("[trainings]\nepochs = 3", "known there are none"),
        ("[training]\nepochs = 3.5", "epochs: expected an integer, found 3.5"),
        ("[training]\nepochs = true", "epochs: expected an integer, found True"),
        ("[training]\nlr = '1'", "lr: expected a number, found '1'"),
        ("[model]\nprenorm = 1", "prenorm: expected true or false, found 1"),
        ("freeze = 'encoder'", "freeze: expected a list, found 'encoder'"),
        ("freeze = [1]", "freeze: expected text, found 1"),
        ("task =", "not TOML"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_tables(path)


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model: give --preset"):
        settings_of(given=TOKENS)
    with pytest.raises(InputError, match="no epochs: give --epochs"):
        settings_of(given=TOKENS | {("model", "layer"): "gsu"})
    with pytest.raises(InputError, match="no preset 'lstm'; known are binary-s4d, "):
        settings_of("lstm")
    with pytest.raises(InputError, match="no such file; --print-config"):
        settings_of(config=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "epochs: 0 must be at least 1"),
        ("lr", float("nan"), "lr: nan must be above 0"),
        ("ema", 1.0, "ema: 1.0 must be at least 0 and below 1"),
        ("validation", -0.1, "validation: -0.1 must be"),
        ("patience", -1, "patience: -1 must not be negative"),
        ("schedule", "linear", "schedule: 'linear' is unknown; known are one-cycle, cosine"),
        ("accumulate", 3, "batch_size: 128 is no multiple of accumulate"),
    ],
)
def test_values_out_of_range(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_of("gsu", given={**TOKENS, ("training", name): value})


def test_model_and_size_are_short_for_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    task = ["--task", "token-order", "--print-config"]
    printed = []
    for names in (["--model", "gsu", "--size", "small"], ["--preset", "gsu-small"]):
        assert main([*names, *task]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert main(["--model", "gsu", "--preset", "gsu", *task]) == 1
    assert "give one of them" in capsys.readouterr().err
    assert main(["--model", "gsu", "--size", "huge", *task]) == 1
    assert "size 'huge' is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\x89HDF\r\n", "it is not UTF-8 text"), (b"a = " + b"[" * 9999, "not TOML")],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        read_tables(tmp_path / "bad.toml")
