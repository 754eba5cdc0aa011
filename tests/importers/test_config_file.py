"""Configurations as the official code writes them: what they decide, and what they contradict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from neurossm.errors import InputError
from neurossm.importers import Imported, ImportOptions, import_checkpoint
from neurossm.models import load

Write = Callable[..., Path]
State = dict[str, torch.Tensor]
Changed = Callable[..., State]
Refused = Callable[..., str]

EXPERIMENT = """
# @package _global_
defaults:
  - /pipeline: cifar
  - /model: s4_surrogate
  - override /scheduler: cosine_warmup
model:
  dropout: 0.1
  n_layers: 2
  d_model: 6
  prenorm: true
  norm: batch
  layer:
    d_state: 8
    lr: {dt: null, A: 0.001, B: 0.001}
    dt_min: 1e-4
    dt_max: 0.05
    measure: diag-inv
    bidirectional: false
    postact: glu
    n_ssm: ${..d_model}
"""
RESOLVED = """
train: {seed: 1, monitor: val/accuracy}
dataset: {_name_: mnist, permute: false, __l_max: 784}
encoder: linear
decoder: {_name_: sequence, mode: pool}
model:
  _name_: model
  prenorm: true
  transposed: false
  n_layers: 2
  d_model: 6
  residual: R
  pool: {_name_: pool, stride: 1, expand: null}
  norm: {_name_: batch}
  layer:
    _name_: s4_surrogate
    d_state: 8
    channels: 1
    bidirectional: false
    activation: gelu
    postact: glu
    mode: diag
    disc: zoh
    real_type: softplus
    n_ssm: 3
    l_max: ${oc.select:dataset.__l_max,null}
"""


@pytest.fixture
def imported(changed: Changed, write: Write, tmp_path: Path) -> Callable[..., Imported]:
    """Return a function that imports a kind of network with the text of a configuration."""

    def run(text: str, kind: str = "official binary-s4d", **options: str | bool) -> Imported:
        config = tmp_path / "config.yaml"
        config.write_text(text)
        return import_checkpoint(write(changed({}, kind)), config, ImportOptions(**options))  # type: ignore[arg-type]

    return run


def _origins(imported: Imported) -> dict[str, tuple[str, str]]:
    return {setting.name: (setting.value, setting.origin) for setting in imported.settings}


def test_an_experiment(imported: Callable[..., Imported]) -> None:
    result = imported(EXPERIMENT, input="float:0:1")
    settings = _origins(result)
    assert settings["activation"] == ("spike", "config")
    assert settings["discretization"] == ("bilinear", "assumed")
    config = result.model.config
    assert (config.dropout, config.dt_min, config.dt_max) == (0.1, 1e-4, 0.05)
    assert (config.initialisation, config.n_ssm) == ("inv", 3)


def test_the_last_step_of_a_configuration(imported: Callable[..., Imported]) -> None:
    text = EXPERIMENT + "decoder: {mode: last}\n"
    result = imported(text, input="float:0:1")
    assert _origins(result)["readout"] == ("last step", "config")
    assert result.model.config.pool == "last"
    other = imported(text, input="float:0:1", pool="max")
    assert _origins(other)["readout"] == ("largest value over time", "option")
    assert other.model.config.pool == "max"
    with pytest.raises(InputError, match="--pool sum: possible here: mean, last, max"):
        imported(text, input="float:0:1", pool="sum")


def test_a_resolved_configuration(imported: Callable[..., Imported]) -> None:
    result = imported(RESOLVED)
    settings = _origins(result)
    assert settings["discretization"] == ("zoh", "config")
    assert settings["real_transform"] == ("softplus", "config")
    assert settings["readout"] == ("mean over time", "config")
    assert settings["input"] == ("uint8 (pixels) of 2", "config")
    assert not [setting for setting in result.settings if setting.origin == "assumed"]
    assert any("784" in note for note in result.notes)


def test_dotted_keys_and_sections_alone(imported: Callable[..., Imported]) -> None:
    for text in (
        "model.layer.disc: zoh",
        "model.layer: {disc: zoh}",
        "layer: {disc: zoh}",
        "{d_state: 8, disc: zoh}",
    ):
        result = imported(text, input="uint8", activation="spike")
        assert result.model.config.discretization == "zoh"


def test_an_option_stands_above_the_configuration(imported: Callable[..., Imported]) -> None:
    result = imported(RESOLVED, discretization="bilinear")
    assert _origins(result)["discretization"] == ("bilinear", "option")


def test_place_of_norms_in_example(imported: Callable[..., Imported]) -> None:
    for text, prenorm in (("model: {prenorm: true}", True), ("model: {prenorm: false}", False)):
        result = imported(text, "s4d.py in example.py", input="uint8", activation="spike")
        assert result.model.config.prenorm is prenorm
        assert _origins(result)["prenorm"][1] == "config"


def test_gsu_without_activation(imported: Callable[..., Imported]) -> None:
    text = "model: {layer: {_name_: s4_gsu, activation: null}}"
    assert imported(text, "official gsu", input="uint8").model.config.activation == "none"
    assert (
        imported("model: {layer: s4_gsu}", "official gsu", input="uint8").model.config.activation
        == "gelu"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: {layer: {bidirectional: true}}", "cannot stream"),
        ("model: {bidirectional: true}", "cannot stream"),
        ("model: {layer: {mode: nplr}}", "diagonal"),
        ("model: {layer: {channels: 2}}", "channels"),
        ("model: {layer: {disc: dss}}", "bilinear, zoh"),
        ("model: {layer: {real_type: cube}}", "real_type"),
        ("model: {layer: {bandlimit: 0.5}}", "bandlimit"),
        ("model: {layer: {_name_: s4dsurrogate}}", "at random"),
        ("model: {layer: {_name_: mha}}", "Binary S4D or GSU"),
        ("model: {layer: {_name_: s4_gsu}}", "binary-s4d layers"),
        ("defaults: [{/model: s4_gsu}]", "binary-s4d layers"),
        ("model: {layer: [{_name_: s4_surrogate}, {_name_: ff}]}", "several layers"),
        ("model: {d_model: 128}", "128"),
        ("model: {n_layers: 4}", "4"),
        ("model: {n_layers: 2, n_repeat: 2}", "4"),
        ("model: {layer: {d_state: 64}}", "64"),
        ("model: {layer: {n_ssm: 1}}", "n_ssm"),
        ("model: {prenorm: false}", "prenorm"),
        ("model: {norm: layer}", "batch"),
        ("model: {norm: instance}", "instance"),
        ("model: {norm: {_name_: batch, eps: none}}", "eps"),
        ("model: {residual: null}", "residual"),
        ("model: {residual: D}", "residual"),
        ("model: {residual: {_name_: R, alpha: 0.5}}", "residual"),
        ("model: {pool: {_name_: pool, stride: 2}}", "pool"),
        ("model: {encoder: position}", "encoder"),
        ("model: {_name_: sashimi}", "backbone"),
        ("encoder: embedding", "embedding"),
        ("decoder: {_name_: sequence, mode: sum}", "mean over time"),
        ("decoder: retrieval", "retrieval"),
        ("decoder: {mode: ragged}", "last step"),
        ("- a list", "named values"),
        ("a: [", "YAML"),
        ("optimizer: {lr: 0.1}", "no model:"),
    ],
)
def test_refused(
    text: str, reason: str, changed: Changed, write: Write, refused: Refused, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    message = refused(write(changed({})), "--input", "uint8", "--config", str(config))
    assert reason in message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("model: {layer: {activation: gelu}}", "s4d.py in example.py"),
        ("model: {layer: s4d}", "s4d.py in example.py"),
        ("model: {layer: {_name_: s4}}", "official binary-s4d"),
        ("model: {layer: {_name_: standalone, activation: gelu}}", "official binary-s4d"),
        (
            "defaults: [{/model: s4_gsu}, {override /model/layer: s4}]",
            "official binary-s4d",
        ),
    ],
)
def test_s4d_with_gelu(
    text: str,
    kind: str,
    changed: Changed,
    write: Write,
    run_import: Callable[..., Result],
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    source = write(changed({}, kind))
    place = ("--postnorm",) if kind == "s4d.py in example.py" else ()
    arguments = ("--input", "uint8", "--config", str(config), *place)
    for option, expected in ((None, ("s4d", "gelu")), ("spike", ("binary-s4d", None))):
        given = () if option is None else ("--activation", option)
        result = run_import(source, *arguments, *given)
        assert result.exit_code == 0, result.output
        found = load(tmp_path / "model.pt").config
        assert (found.layer, found.activation) == expected


def test_a_missing_configuration(
    changed: Changed, write: Write, refused: Refused, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.yaml"
    assert "absent.yaml: no such file" in refused(write(changed({})), "--config", str(absent))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1, 2]\nb: *a\n", "holds references"),
        ("&a a: 1\nmodel:\n  <<: *a\n", "holds references"),
        ("[" * 5000, "no YAML"),
        ("# " + "x" * (1 << 20), "longer than 1024 KB"),
    ],
)
def test_a_configuration_that_unfolds_without_end(
    text: str, message: str, changed: Changed, write: Write, refused: Refused, tmp_path: Path
) -> None:
    config = tmp_path / "bomb.yaml"
    config.write_text(text)
    line = refused(write(changed({})), "--config", str(config))
    assert f"{config}: " in line
    assert message in line
