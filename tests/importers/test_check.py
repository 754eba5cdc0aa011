"""Every reading of a file is computed as the transcription computes it, and the right one found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from neurossm.cli import cli
from neurossm.errors import InputError
from neurossm.importers import ImportOptions, check_checkpoint
from neurossm.importers.archive import read_source
from neurossm.importers.config_file import Config
from neurossm.importers.importer import decide

Write = Callable[..., Path]
SAMPLES = 60

READINGS: dict[str, dict[str, Any]] = {
    "spike, postnorm": {"activation": "spike"},
    "gelu, postnorm": {"activation": "gelu"},
    "relu, postnorm": {"activation": "relu"},
    "gelu, prenorm": {"activation": "gelu", "prenorm": True},
    "gelu, group norm": {"activation": "gelu", "norm_as": "group"},
    "gelu, instance norm": {"activation": "gelu", "norm_as": "instance"},
    "gelu, eps": {"activation": "gelu", "eps": 1e-2},
    "gelu, no residual": {"activation": "gelu", "residual": False},
}


@pytest.mark.parametrize("name", READINGS)
def test_readings_compute_what_the_transcription_does(
    name: str, foreign: ModuleType, write: Write
) -> None:
    kind = replace(foreign.KINDS["s4d.py in example.py"], **READINGS[name])
    state = {key: value.double() for key, value in foreign.random_state(kind).items()}
    options = ImportOptions(
        input="uint8",
        activation=kind.activation,
        prenorm=kind.prenorm,
        norm=kind.norm_as or kind.norm,
        norm_eps=kind.eps,
        residual="sum" if kind.residual else "none",
    )
    x = foreign.random_input(kind)
    reading, settings = decide(read_source(write(state)), Config(), options)
    assert not settings.questions
    wanted = foreign.evaluate(kind, state, x).logits
    np.testing.assert_allclose(reading.logits(torch.from_numpy(x)), wanted, rtol=0, atol=1e-9)
    if kind.norm_as or kind.eps != 1e-5 or not kind.residual or kind.activation != "spike":
        usual = replace(
            kind, norm_as="", eps=1e-5, residual=True, activation="spike"
        )  # what was once taken for granted
        assert np.abs(foreign.evaluate(usual, state, x).logits - wanted).max() > 1e-3


@pytest.mark.parametrize("name", ["official gsu", "official binary-s4d, postnorm"])
def test_other_layers_too(name: str, foreign: ModuleType, write: Write) -> None:
    kind = foreign.KINDS[name]
    state = {
        key: value.double() if value.is_floating_point() else value
        for key, value in foreign.random_state(kind).items()
    }
    options = ImportOptions(
        input="uint8",
        discretization=kind.rule,
        activation="gelu" if kind.layer == "gsu" else "spike",
        residual="sum",
    )
    x = foreign.random_input(kind)
    reading, _ = decide(read_source(write(state)), Config(), options)
    wanted = foreign.evaluate(kind, state, x).logits
    np.testing.assert_allclose(reading.logits(torch.from_numpy(x)), wanted, rtol=0, atol=1e-9)


def test_norms_without_weights(foreign: ModuleType, write: Write) -> None:
    kind = replace(foreign.KINDS["s4d.py in example.py"], activation="spike", prenorm=True)
    state = {k: v.double() for k, v in foreign.random_state(kind).items() if "norms." not in k}
    options = ImportOptions(
        input="uint8", activation="spike", residual="sum", prenorm=True, norm="layer"
    )
    x = foreign.random_input(kind)
    reading, _ = decide(read_source(write(state)), Config(), options)
    wanted = foreign.evaluate(kind, state, x).logits
    np.testing.assert_allclose(reading.logits(torch.from_numpy(x)), wanted, rtol=0, atol=1e-9)
    none = foreign.evaluate(replace(kind, norm="none"), state, x).logits
    assert np.abs(none - wanted).max() > 1e-2


@pytest.fixture
def labelled(foreign: ModuleType, write: Write, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a function that writes a GELU network in postnorm, and data it is right on."""

    def make(**beside: Any) -> tuple[Path, Path]:
        kind = replace(foreign.KINDS["s4d.py in example.py"], activation="gelu")
        state = foreign.random_state(kind)
        x = foreign.random_input(kind, samples=SAMPLES)
        logits = foreign.evaluate(kind, state, x).logits
        state["decoder.bias"] -= torch.from_numpy(logits.mean(0)).float()  # else one class wins
        y = foreign.evaluate(kind, state, x).logits.argmax(1)
        assert np.bincount(y).max() < 0.6 * SAMPLES
        np.savez(tmp_path / "data.npz", x=x, y=y)
        return write({"model": state, **beside}), tmp_path / "data.npz"

    return make


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("score", [{"acc": 100.0}, {"best_acc": torch.tensor(1.0)}])
def test_the_reading_that_reproduces_the_file_is_proposed(
    score: dict[str, Any], labelled: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    source, data = labelled(**score)
    done = _run(
        "import", source, "--check", data, "--input", "uint8", "--json", tmp_path / "c.json"
    )
    assert done.exit_code == 0, done.output
    proposed = "--activation gelu --norm layer --postnorm --residual sum"
    assert f"Proposed: {proposed}. Nothing was taken or written." in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "data.npz", source.name]
    found = json.loads((tmp_path / "c.json").read_text())
    assert len(found["readings"]) == 6  # three activations, two places of the norms
    assert [tried["options"] for tried in found["proposals"]] == [
        {"activation": "gelu", "norm": "layer", "prenorm": False, "residual": "sum"}
    ]
    assert found["readings"][0]["accuracy"] == 1.0
    assert found["samples"] == SAMPLES


def test_without_an_accuracy_nothing_is_proposed(
    labelled: Callable[..., tuple[Path, Path]],
) -> None:
    source, data = labelled(epoch=3)
    done = _run("import", source, "--check", data, "--input", "uint8")
    assert "nothing of its accuracy" in done.stdout
    assert "Proposed" not in done.stdout


def test_an_accuracy_that_is_no_number_is_none(
    labelled: Callable[..., tuple[Path, Path]],
) -> None:
    source, data = labelled(acc=float("nan"), best_acc="high", test_acc=10**400, val_acc=True)
    done = _run("import", source, "--check", data, "--input", "uint8")
    assert "nothing of its accuracy" in done.stdout


def test_an_accuracy_that_no_reading_has(labelled: Callable[..., tuple[Path, Path]]) -> None:
    source, data = labelled(acc=0.02)
    done = _run("import", source, "--check", data, "--input", "uint8")
    assert "No reading reproduces" in done.stdout


def test_what_is_given_is_not_varied(labelled: Callable[..., tuple[Path, Path]]) -> None:
    source, data = labelled(acc=100.0)
    found = check_checkpoint(
        source, data, options=ImportOptions("uint8", activation="spike", residual="sum")
    )
    assert [tried.options for tried in found.readings if "activation" in tried.options] == []
    assert len(found.readings) == 2
    assert not found.proposals


def test_norms_that_no_key_shows_are_varied(foreign: ModuleType, write: Write) -> None:
    kind = foreign.KINDS["s4d.py in example.py"]
    state = {k: v for k, v in foreign.random_state(kind).items() if "norms." not in k}
    x = foreign.random_input(kind, samples=4)
    from neurossm.datafile import Data

    found = check_checkpoint(
        write(state),
        Data(x, np.array([0, 1, 2, 0])),
        options=ImportOptions("uint8", activation="spike", residual="sum"),
    )
    ways = {tried.arguments for tried in found.readings}
    assert ways == {"--norm none", "--norm layer --prenorm", "--norm layer --postnorm"}


def test_check_needs_labels_and_the_input(
    labelled: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    source, data = labelled()
    with pytest.raises(InputError, match="--input uint8"):
        check_checkpoint(source, data)
    with np.load(data) as file:
        np.savez(tmp_path / "bare.npz", x=file["x"])
    with pytest.raises(InputError, match="--check needs labels"):
        check_checkpoint(source, tmp_path / "bare.npz", options=ImportOptions("uint8"))


@pytest.mark.parametrize(
    "arguments", [(), ("--check", "d.npz", "-o", "m.pt"), ("-o", "m.pt", "--limit", "3")]
)
def test_options_of_the_command_that_exclude_each_other(arguments: tuple[str, ...]) -> None:
    assert _run("import", "x.pt", *arguments).exit_code == 2


def test_pixels_that_were_normalised(foreign: ModuleType, write: Write) -> None:
    from neurossm.importers import import_checkpoint

    kind = foreign.KINDS["s4d.py in example.py"]
    state = foreign.random_state(kind)
    options = ImportOptions(
        activation="spike",
        prenorm=False,
        norm="layer",
        residual="sum",
        mean="0.4,0.5",
        std="0.2,0.25",
        input="uint8",
    )
    imported = import_checkpoint(write(state), options=options)
    x = foreign.random_input(kind)
    mean, std = np.array([0.4, 0.5]), np.array([0.2, 0.25])
    wanted = foreign.evaluate(kind, state, x, mean, std).logits
    with torch.no_grad():
        logits = imported.model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-9)
    assert imported.model.config.input.kind == "uint8"


def test_another_eps_of_batch_norm(foreign: ModuleType, write: Write) -> None:
    from neurossm.importers import import_checkpoint

    kind = replace(foreign.KINDS["official binary-s4d"], eps=1e-3)
    state = foreign.random_state(kind)
    options = ImportOptions(input="uint8", activation="spike", residual="sum", norm_eps=1e-3)
    imported = import_checkpoint(write(state), options=options)
    x = foreign.random_input(kind)
    with torch.no_grad():
        logits = imported.model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, foreign.evaluate(kind, state, x).logits, rtol=0, atol=1e-9)
