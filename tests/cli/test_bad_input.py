"""Wrong files, data and options at every command: one line, exit status 1, nothing written."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from neurossm import compile_model
from neurossm.cli import cli
from neurossm.models import InputSpec, ModelConfig, Network, save
from neurossm.models.export import export
from neurossm.storage import seal

STEPS = 12
MAX_STEPS = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with good files and all kinds of bad ones."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    config = ModelConfig("binary-s4d", InputSpec.uint8(), 3, n_layers=1, d_model=4, d_state=4)
    network = Network(config).eval()
    x = np.random.default_rng(0).integers(0, 256, (5, STEPS, 1), dtype=np.uint8)
    save(folder / "good.pt", network, calibration=x)
    _bad_checkpoints(folder, network)
    graph = export(network)
    graph.save(folder / "graph.h5")
    compile_model(graph).save(folder / "program.h5")
    for kind in ("graph", "program"):
        _bad_hdf5(folder, kind)
    with h5py.File(folder / "foreign.h5", "w") as file:
        file["a"] = 1
    _data(folder, x)
    return folder


def _bad_checkpoints(folder: Path, network: Network) -> None:
    (folder / "text.pt").write_text("hello")
    (folder / "empty.pt").touch()
    (folder / "folder.pt").mkdir()
    whole = (folder / "good.pt").read_bytes()
    (folder / "truncated.pt").write_bytes(whole[: len(whole) // 2])
    torch.save(network, folder / "module.pt")
    torch.save(network.state_dict(), folder / "state.pt")
    content = torch.load(folder / "good.pt", weights_only=True)

    def changed(name: str, change: Callable[[dict[str, Any]], None]) -> None:
        other = copy.deepcopy(content)
        change(other)
        torch.save(other, folder / f"{name}.pt")

    weight = "encoder.weight"
    assert weight in content["state"]
    changed("newer", lambda c: c.update(version=99))
    changed("nan", lambda c: c["state"][weight].view(-1)[:1].fill_(float("nan")))
    changed("inf", lambda c: c["state"][weight].view(-1)[:1].fill_(float("inf")))
    changed("missing", lambda c: c["state"].pop(weight))
    changed("extra", lambda c: c["state"].update(other=torch.zeros(1)))
    changed("shape", lambda c: c["state"].update({weight: torch.zeros(9, 9)}))
    changed("half", lambda c: c["state"].update({weight: c["state"][weight].half()}))
    changed("layer", lambda c: c["config"].update(layer="transformer"))


def _bad_hdf5(folder: Path, kind: str) -> None:
    whole = (folder / f"{kind}.h5").read_bytes()
    (folder / f"{kind}-truncated.h5").write_bytes(whole[: len(whole) // 2])
    newer = folder / f"{kind}-newer.h5"
    shutil.copy(folder / f"{kind}.h5", newer)
    with h5py.File(newer, "a") as file:
        assert "version" in file.attrs
        file.attrs["version"] = 99
    seal(newer)


def _data(folder: Path, x: np.ndarray) -> None:
    np.savez(folder / "good.npz", x=x, y=np.array([0, 1, 2, 0, 1]))
    np.savez(folder / "float.npz", x=x / 255)
    np.savez(folder / "wide.npz", x=x.astype(np.int64))
    np.savez(folder / "nan.npz", x=np.full(x.shape, np.nan))
    np.savez(folder / "channels.npz", x=np.repeat(x, 3, axis=2))
    np.savez(folder / "flat.npz", x=x[:, 0, 0])
    np.savez(folder / "no-steps.npz", x=x[:, :0])
    np.savez(folder / "no-samples.npz", x=x[:0])
    np.savez(folder / "no-x.npz", z=x)
    np.savez(folder / "other-name.npz", x=x, labels=np.array([0, 1, 2, 0, 1]))
    np.savez(folder / "labels-short.npz", x=x, y=np.array([0, 1]))
    np.savez(folder / "labels-float.npz", x=x, y=np.array([0.0, 1, 2, 0, 1]))
    np.savez(folder / "labels-out.npz", x=x, y=np.array([0, 1, 2, 3, 1]))
    np.savez(folder / "labels-negative.npz", x=x, y=np.array([0, 1, 2, -1, 1]))
    np.savez(folder / "objects.npz", x=np.array([{}, {}], dtype=object))
    np.savez(folder / "long.npz", x=np.zeros((1, MAX_STEPS + 1, 1), np.uint8))
    (folder / "text.npz").write_text("hello")
    np.save(folder / "array.npy", x)
    whole = (folder / "good.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])


@pytest.fixture
def refused(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command that must be refused, in an empty folder; return its one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        words = [word.replace("@", f"{files}/") for word in arguments]
        outcome = CliRunner().invoke(cli, words)
        assert outcome.exit_code == 1, (outcome.output, outcome.exception)
        assert outcome.stdout == ""
        assert outcome.stderr.startswith("neurossm: ")
        assert outcome.stderr.count("\n") == 1, outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert list(tmp_path.iterdir()) == []
        return outcome.stderr

    return run


CHECKPOINTS = {
    "text": "not a checkpoint",
    "empty": "not a checkpoint",
    "folder": "is a folder",
    "absent": "[Nn]o such file",
    "truncated": "not a checkpoint",
    "module": "pickled Python objects",
    "state": "neurossm import",
    "newer": "version 99",
    "nan": "NaN or infinite",
    "inf": "NaN or infinite",
    "missing": "missing encoder.weight",
    "extra": "unknown other",
    "shape": r"shape \(9, 9\)",
    "half": "float16",
    "layer": "transformer",
}


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize("command", ["compile", "export", "inspect"])
def test_checkpoints(name: str, command: str, refused: Callable[..., str]) -> None:
    options = {
        "compile": ["--target", "loihi2-sim"],
        "export": ["-o", "out.h5"],
        "inspect": [],
    }[command]
    line = refused(command, f"@{name}.pt", *options)
    assert f"{name}.pt" in line
    assert _matches(CHECKPOINTS[name], line), line


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("graph-truncated", "truncated|not readable|damaged|HDF5"),
        ("graph-newer", "99"),
        ("foreign", "schema"),
        ("program", "program"),
        ("text.pt", "checkpoint"),
    ],
)
def test_graphs_to_compile(name: str, said: str, refused: Callable[..., str]) -> None:
    name = name if "." in name else f"{name}.h5"
    line = refused("compile", f"@{name}", "--target", "loihi2-sim")
    assert name in line
    assert _matches(said, line), line


@pytest.mark.parametrize("command", ["run", "verify", "profile", "report"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("program-truncated.h5", "truncated|not readable|damaged|HDF5"),
        ("program-newer.h5", "99"),
        ("foreign.h5", "schema"),
        ("graph.h5", "graph"),
        ("absent.h5", "no such file"),
        ("good.pt", "compile"),
    ],
)
def test_programs(command: str, name: str, said: str, refused: Callable[..., str]) -> None:
    line = refused(command, f"@{name}", "--data", "@good.npz", *_output(command))
    assert name in line
    assert _matches(said, line), line


def _output(command: str) -> list[str]:
    return {"run": ["-o", "out.npz"], "report": ["-o", "out.html"]}.get(command, [])


DATA = {
    "float.npz": "uint8",
    "wide.npz": "uint8",
    "nan.npz": "uint8",
    "channels.npz": r"\(5, 12, 3\)|3",
    "flat.npz": "shape",
    "no-steps.npz": "0",
    "no-samples.npz": "0|no samples",
    "no-x.npz": "expected x",
    "other-name.npz": "holds labels but no y; class numbers are read under the name y",
    "labels-short.npz": "labels",
    "labels-float.npz": "labels",
    "objects.npz": "npz",
    "text.npz": "npz",
    "array.npy": "npz",
    "truncated.npz": "npz",
    "absent.npz": "no such file",
}


@pytest.mark.parametrize("command", ["run", "verify", "profile", "report"])
@pytest.mark.parametrize("name", DATA)
def test_data(command: str, name: str, refused: Callable[..., str]) -> None:
    line = refused(command, "@program.h5", "--data", f"@{name}", *_output(command))
    assert _matches(DATA[name], line), line


@pytest.mark.parametrize(
    "engine", ["fast", "reference", pytest.param("lava", marks=pytest.mark.lava)]
)
@pytest.mark.parametrize("name", ["float.npz", "channels.npz", "no-steps.npz"])
def test_every_engine_looks_at_the_data(
    engine: str, name: str, refused: Callable[..., str]
) -> None:
    refused("run", "@program.h5", "--data", f"@{name}", "--engine", engine, "-o", "out.npz")


@pytest.mark.parametrize("name", ["labels-out.npz", "labels-negative.npz"])
@pytest.mark.parametrize("command", ["run", "verify", "report"])
def test_labels_of_no_class(command: str, name: str, refused: Callable[..., str]) -> None:
    assert "classes" in refused(command, "@program.h5", "--data", f"@{name}", *_output(command))


@pytest.mark.parametrize("command", ["run", "verify", "profile", "report"])
def test_longer_than_max_steps(command: str, files: Path, refused: Callable[..., str]) -> None:
    short = files / "short.h5"
    if not short.exists():
        arguments = ["compile", f"{files}/good.pt", "--target", "loihi2-sim", "-o", str(short)]
        outcome = CliRunner().invoke(cli, [*arguments, "--max-steps", str(MAX_STEPS)])
        assert outcome.exit_code == 0, outcome.output
    line = refused(command, "@short.h5", "--data", "@long.npz", *_output(command))
    assert str(MAX_STEPS) in line
    assert str(MAX_STEPS + 1) in line


@pytest.mark.parametrize("limit", ["0", "-1", "6"])
@pytest.mark.parametrize("command", ["run", "verify", "profile", "report"])
def test_limits(command: str, limit: str, refused: Callable[..., str]) -> None:
    arguments = ["--data", "@good.npz", "--limit", limit, *_output(command)]
    assert "from 1 to 5" in refused(command, "@program.h5", *arguments)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--target", "loihi3"], "loihi2-sim"),
        (["--target", "loihi1"], "leaky integrate-and-fire"),
        (["--target", "absent.toml"], "absent.toml"),
        (["--target", "loihi2-sim", "--weight-bits", "9"], "from 2 to 8"),
        (["--target", "loihi2-sim", "--state-bits", "64"], "from 8 to 32"),
        (["--target", "loihi2-sim", "--max-steps", "0"], "max_steps"),
        (["--target", "loihi2-sim", "--calibration", "@float.npz"], "uint8"),
        (
            ["--target", "loihi2-sim", "--scaling", "calibrated", "--calibration", "@nan.npz"],
            "uint8",
        ),
        (["--target", "loihi2-sim", "-o", "absent/x.h5"], "create it first"),
    ],
)
def test_compile_options(options: list[str], said: str, refused: Callable[..., str]) -> None:
    line = refused("compile", "@good.pt", *options)
    assert said in line


def test_calibrated_scaling_without_data(refused: Callable[..., str]) -> None:
    options = ["--target", "loihi2-sim", "--scaling", "calibrated"]
    assert "--calibration" in refused("compile", "@graph.h5", *options)


@pytest.mark.parametrize(
    ("command", "output"),
    [("run", "absent/out.npz"), ("report", "absent/out.html")],
)
def test_outputs_that_cannot_be_written(
    command: str, output: str, refused: Callable[..., str]
) -> None:
    line = refused(command, "@program.h5", "--data", "@good.npz", "-o", output)
    assert "create it first" in line


def test_an_input_is_never_overwritten(refused: Callable[..., str], files: Path) -> None:
    before = (files / "good.npz").read_bytes()
    refused("run", "@program.h5", "--data", "@good.npz", "-o", "@good.npz")
    assert (files / "good.npz").read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ("inspect", "@good.pt", "--json", "@good.pt"),
        ("inspect", "@program.h5", "--json", "@hard-link.h5"),
        ("run", "@program.h5", "--data", "@good.npz", "--json", "@good.npz"),
        ("run", "@program.h5", "--data", "@good.npz", "-o", "@hard-link.h5"),
        ("verify", "@program.h5", "--data", "@good.npz", "--json", "@program.h5"),
        ("profile", "@program.h5", "--data", "@good.npz", "--json", "@good.npz"),
        ("report", "@program.h5", "--data", "@good.npz", "-o", "p.html", "--json", "@program.h5"),
        ("export", "@good.pt", "-o", "g.h5", "--json", "@good.pt"),
        ("compile", "@graph.h5", "--target", "loihi2-sim", "--json", "@graph.h5"),
        ("tune", "@good.pt", "--data", "@good.npz", "-o", "p.toml", "--json", "@good.pt"),
    ],
)
def test_no_output_overwrites_an_input(
    command: tuple[str, ...], refused: Callable[..., str], files: Path
) -> None:
    link = files / "hard-link.h5"
    if not link.exists():
        link.hardlink_to(files / "program.h5")
    before = {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
    assert "is read by the same command" in refused(*command)
    assert {path: path.read_bytes() for path in files.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "command",
    [
        ("run", "@program.h5", "--data", "@good.npz", "-o", "out.npz", "--json", "out.npz"),
        ("run", "@program.h5", "--data", "@good.npz", "-o", "a.h5", "--trace", "./a.h5"),
        ("report", "@program.h5", "--data", "@good.npz", "-o", "p.html", "--json", "p.html"),
        ("export", "@good.pt", "-o", "g.h5", "--json", "g.h5"),
        ("compile", "@graph.h5", "--target", "loihi2-sim", "--json", "graph.loihi2-sim.h5"),
        ("tune", "@good.pt", "--data", "@good.npz", "-o", "p.toml", "--json", "p.toml"),
    ],
)
def test_two_outputs_are_two_files(command: tuple[str, ...], refused: Callable[..., str]) -> None:
    assert "two outputs would go to this file" in refused(*command)
