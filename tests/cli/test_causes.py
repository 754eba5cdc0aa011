"""Causes that once ended in "internal error", a hang or a wrong reason: each is one clear line.

Bad files go to every command that reads such a file; what is wrong with the process (closed output,
a full disk, a removed folder, too little memory) to the real program.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
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

X = np.random.default_rng(0).integers(0, 256, (5, 6, 1), dtype=np.uint8)
Y = np.array([0, 1, 2, 0, 1])
LONGEST = 1_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a good checkpoint, graph, program and data."""
    folder = tmp_path_factory.mktemp("causes")
    config = ModelConfig("binary-s4d", InputSpec.uint8(), 3, n_layers=1, d_model=4, d_state=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(config).eval()
    save(folder / "good.pt", network, calibration=X)
    graph = export(network)
    graph.save(folder / "graph.h5")
    compile_model(graph).save(folder / "program.h5")
    np.savez(folder / "good.npz", x=X, y=Y)
    return folder


def refusal(folder: Path, empty: Path, command: str) -> str:
    """Run a command in an empty folder; return the one line that it ends with, status 1."""
    words = [word.replace("@", f"{folder}/") for word in command.split()]
    before = Path.cwd()
    os.chdir(empty)
    try:
        ended = CliRunner().invoke(cli, words)
    finally:
        os.chdir(before)
    assert ended.exit_code == 1, (ended.output, ended.exception)
    assert ended.stdout == ""
    line = ended.stderr.removesuffix("\n")
    assert line.startswith("neurossm: ")
    assert line.isprintable()
    assert "internal error" not in line
    assert len(line) < LONGEST + 20
    assert list(empty.iterdir()) == []
    return line


# --- samples ---


def _archive(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _changed(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def _damaged_compressed(path: Path) -> None:
    np.savez_compressed(path, x=X, y=Y)
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[0]
    start = info.header_offset + 30 + len(info.filename) + 20
    _changed(path, lambda data: data.__setitem__(slice(start, start + 20), b"\xff" * 20))


def _encrypted(path: Path) -> None:
    np.savez(path, x=X, y=Y)

    def mark(data: bytearray) -> None:
        for signature, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            place = data.find(signature)
            while place >= 0:
                data[place + at] |= 1
                place = data.find(signature, place + 4)

    _changed(path, mark)


def _spanning(path: Path) -> None:
    np.savez(path, x=X, y=Y)

    def mark(data: bytearray) -> None:
        end = data.rfind(b"PK\x05\x06")
        struct.pack_into("<HH", data, end + 4, 1, 1)
        locator = b"PK\x06\x07" + struct.pack("<IQI", 1, 0, 2)
        data[end:end] = locator

    _changed(path, mark)


def _unknown_compression(path: Path) -> None:
    np.savez(path, x=X, y=Y)

    def mark(data: bytearray) -> None:
        for signature, at in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
            place = data.find(signature)
            struct.pack_into("<H", data, place + at, 99)

    _changed(path, mark)


DATA: dict[str, tuple[Callable[[Path], None], str]] = {
    "damaged compressed": (_damaged_compressed, "not a readable .npz file"),
    "encrypted": (_encrypted, "save it without a password"),
    "spanning": (_spanning, "not a readable .npz file"),
    "unknown compression": (_unknown_compression, "not a readable .npz file"),
    "no npy": (lambda path: _archive(path, {"x.npy": b"hello", "y.npy": _npy(Y)}), "magic string"),
    "unended header": (
        lambda path: _archive(
            path, {"x.npy": b"\x93NUMPY\x01\x00\x0a\x00" + b"{'descr': (", "y.npy": _npy(Y)}
        ),
        "not a readable .npz file",
    ),
    "damaged lzma": (
        lambda path: (
            _archive(path, {"x.npy": _npy(X), "y.npy": _npy(Y)}, zipfile.ZIP_LZMA),
            _changed(path, lambda data: data.__setitem__(slice(60, 90), b"\xff" * 30)),
        )[0],
        "not a readable .npz file",
    ),
    "0 samples with labels": (
        lambda path: np.savez(path, x=X[:0], y=Y[:0]),
        r"\(0, 6, 1\).*no samples|x is \(0, 6, 1\)",
    ),
    "x of no axes": (
        lambda path: np.savez(path, x=np.uint8(3), y=Y),
        r"shape \(\)|x is \(\)|\(5,\)",
    ),
    "labels of 2^64-1": (
        lambda path: np.savez(path, x=X, y=np.full(5, 2**64 - 1, np.uint64)),
        "18446744073709551615",
    ),
    "objects": (lambda path: np.savez(path, x=np.array([{}], object), y=Y[:1]), "object"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "pipe": (lambda path: os.mkfifo(path), "is a pipe or a device"),
}
READ_DATA = (
    "run @program.h5 --data {} -o out.npz",
    "verify @program.h5 --data {}",
    "profile @program.h5 --data {}",
    "report @program.h5 --data {} -o out.html",
    "tune @good.pt --data {} -o out.toml",
    "compile @good.pt --target loihi2-sim --calibration {} --scaling calibrated -o out.h5",
    "emit @program.h5 -o out --data {}",
    "train --preset gsu-small --data {} --epochs 1 -o out.pt",
)


@pytest.mark.parametrize("command", READ_DATA, ids=lambda command: command.split()[0])
@pytest.mark.parametrize("cause", DATA)
def test_samples(cause: str, command: str, folder: Path, tmp_path: Path) -> None:
    make, said = DATA[cause]
    path = folder / f"{cause.replace(' ', '-')}.npz"
    if not path.exists():
        make(path)
    line = refusal(folder, tmp_path, command.format(path))
    assert path.name in line
    assert re.search(said, line), line


# --- checkpoints ---


def _state(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    """Change a weight."""

    def changed(content: dict[str, Any]) -> None:
        content["state"]["encoder.weight"] = change(content["state"]["encoder.weight"])

    return changed


def _config(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["config"].update(values)


CHECKPOINTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "version True": (lambda c: c.update(version=True), "version True is not one ever written"),
    "version -5": (lambda c: c.update(version=-5), "version -5 is not one ever written"),
    "version 2.0": (lambda c: c.update(version=2.0), "version 2.0 is not one ever written"),
    "prenorm x": (_config(prenorm="x"), "prenorm is 'x', which is of another type"),
    "classes True": (_config(classes=True), "classes is True, which is of another type"),
    "huge layers": (_config(n_layers=10**9), "need far more than the"),
    "integer keys": (
        lambda c: c["state"].update({5: torch.zeros(1)}),
        "expected a name and a tensor",
    ),
    "integer names": (lambda c: c["config"].update({7: 1}), "unknown field 7"),
    "sparse": (_state(lambda w: w.to_sparse()), "sparse|torch cannot read it"),
    "meta": (_state(lambda w: torch.empty(w.shape, device="meta")), "kind meta"),
    "bfloat16": (_state(lambda w: w.bfloat16()), "bfloat16; convert it"),
    "expanded": (_state(lambda w: torch.zeros(1).expand(w.shape)), "repeats fewer stored"),
    "no tensor": (_state(lambda w: w.tolist()), "expected a name and a tensor"),
    "calibration sparse": (
        lambda c: c.update(calibration=c["calibration"].float().to_sparse()),
        "sparse|torch cannot read it",
    ),
    "calibration bfloat16": (
        lambda c: c.update(calibration=c["calibration"].bfloat16()),
        "bfloat16",
    ),
    "calibration as list": (lambda c: c.update(calibration=[1]), "calibration: expected a tensor"),
    "objects": (lambda c: c.update(training=np.float64), "torch.save|pickled|cannot read it"),
}
READ_CHECKPOINTS = (
    "inspect {}",
    "export {} -o out.h5",
    "compile {} --target loihi2-sim -o out.h5",
    "verify @program.h5 --data @good.npz --model {}",
    "report @program.h5 --data @good.npz --model {} -o out.html",
    "tune {} --data @good.npz -o out.toml",
    "train --init {} --data @good.npz --epochs 1 -o out.pt",
)


@pytest.mark.parametrize("command", READ_CHECKPOINTS, ids=lambda command: command.split()[0])
@pytest.mark.parametrize("cause", CHECKPOINTS)
def test_checkpoints(cause: str, command: str, folder: Path, tmp_path: Path) -> None:
    change, said = CHECKPOINTS[cause]
    path = folder / f"{cause.replace(' ', '-')}.pt"
    if not path.exists():
        content = torch.load(folder / "good.pt", weights_only=True)
        change(content)
        torch.save(content, path)
    line = refusal(folder, tmp_path, command.format(path))
    assert path.name in line
    assert re.search(said, line), line


@pytest.mark.parametrize("change", ["data.pkl", "storage", "no pickle"])
@pytest.mark.parametrize(
    "command", ["inspect {}", "import {} -o out.pt", "export {} -o out.h5"], ids=lambda c: c[:6]
)
def test_damaged_pickles(change: str, command: str, folder: Path, tmp_path: Path) -> None:
    path = folder / f"damaged-{change.replace(' ', '-')}.pt"
    with zipfile.ZipFile(folder / "good.pt") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))
    if change == "data.pkl":
        members[pickled] = members[pickled][:40] + b"\xff\x00." + members[pickled][60:]
    elif change == "storage":
        del members[pickled.replace("data.pkl", "data/0")]
    else:
        members[pickled] = b"hello"
    _archive(path, members)
    assert path.name in refusal(folder, tmp_path, command.format(path))


def test_a_weight_that_wants_gradients_is_a_weight(folder: Path, tmp_path: Path) -> None:
    content = torch.load(folder / "good.pt", weights_only=True)
    content["state"] = {
        name: torch.nn.Parameter(value) if value.is_floating_point() else value
        for name, value in content["state"].items()
    }
    torch.save(content, tmp_path / "gradients.pt")
    ended = CliRunner().invoke(cli, ["inspect", str(tmp_path / "gradients.pt")])
    assert ended.exit_code == 0, ended.output


# --- settings ---

TEXTS = {
    "deep": "a:\n" + "".join("  " * depth + "a:\n" for depth in range(1, 700)),
    "deep flow": "a: " + "[" * 5_000,
    "recursive": "&a [*a]",
    "aliases": "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]",
    "integer keys": "1: {2: 3}\n4: [5]",
    "objects": "model: !!python/object/apply:os.system [x]",
    "huge number": "model:\n  n_layers: " + "9" * 5_000 + "\n  layer: s4d",
    "dates": "model: 2020-13-45",
    "no mapping": "- 1\n- 2",
    "empty": "",
}


@pytest.mark.parametrize("cause", TEXTS)
def test_yaml(cause: str, folder: Path, tmp_path: Path) -> None:
    path = folder / f"{cause.replace(' ', '-')}.yaml"
    path.write_text(TEXTS[cause])
    torch.save({"model.layers.0.layer.D": torch.zeros(1, 4)}, folder / "foreign.ckpt")
    command = f"import @foreign.ckpt --config {path} --input uint8 -o out.pt"
    assert path.name in refusal(folder, tmp_path, command) or cause in ("integer keys",)


@pytest.mark.parametrize("cause", ["deep flow", "huge number", "empty", "utf-16", "folder", "pipe"])
@pytest.mark.parametrize(
    "command",
    [
        "targets --hw {}",
        "profile @program.h5 --data @good.npz --hw {}",
        "compile @good.pt --target {} -o out.h5",
        "compile @good.pt --target loihi2-sim --precision {} -o out.h5",
        "train --config {} --data @good.npz -o out.pt",
    ],
    ids=["targets", "profile", "target", "precision", "train"],
)
def test_toml(cause: str, command: str, folder: Path, tmp_path: Path) -> None:
    path = folder / f"{cause.replace(' ', '-')}.toml"
    if not path.exists():
        if cause == "folder":
            path.mkdir()
        elif cause == "pipe":
            os.mkfifo(path)
        elif cause == "utf-16":
            path.write_bytes("name = 'x'".encode("utf-16"))
        else:
            texts = {"deep flow": "a = " + "[" * 5_000, "huge number": "a = " + "9" * 5_000}
            path.write_text(texts.get(cause, ""))
    line = refusal(folder, tmp_path, command.format(path))
    assert path.name in line or cause == "empty"


# --- programs ---


@pytest.mark.parametrize("target", [np.array([1, 2]), 5, "a\nb"], ids=["array", "number", "lines"])
def test_a_target_is_a_name(target: Any, folder: Path, tmp_path: Path) -> None:
    path = folder / "target.h5"
    shutil.copy(folder / "program.h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs["target"] = target
    seal(path)
    for command in ("inspect @target.h5", "run @target.h5 --data @good.npz -o out.npz"):
        assert "expected the name of a profile" in refusal(folder, tmp_path, command)


# --- the process ---

STARTED = [sys.executable, "-c", "from neurossm.cli import main; main()"]


def started(command: str, folder: Path, shell: str = "{}", **variables: str) -> Any:
    """Run the program in a shell, which `shell` prepares; return how it ended."""
    words = [word.replace("@", f"{folder}/") for word in command.split()]
    quoted = " ".join(f"'{word}'" for word in [*STARTED, *words])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), **variables}
    return subprocess.run(
        ["/bin/bash", "-c", shell.format(quoted)],
        capture_output=True,
        env=environment,
        cwd=folder,
        timeout=120,
        check=False,
    )


PROCESSES = {
    "closed stdout": ("targets", "{} >&-", {}, "stdout is closed"),
    "closed stdout, JSON": ("targets --json -", "{} >&-", {}, "stdout is closed"),
    "full stdout": ("targets", "{} >/dev/full", {}, "No space left on device"),
    "full stdout, help": ("--help", "{} >/dev/full", {}, "No space left on device"),
    "full stdout, JSON": ("targets --json -", "{} >/dev/full", {}, "No space left on device"),
    "removed folder": (
        "compile @good.pt --target loihi2-sim",
        "mkdir gone; cd gone; rmdir ../gone; {}",
        {"PYTHONSAFEPATH": "1"},  # as for an installed program; -c makes Python itself fail there
        "working directory was removed",
    ),
    "no threads": ("inspect @old.h5", "{}", {"NUMBA_NUM_THREADS": "0"}, "unset NUMBA_NUM_THREADS"),
    "little memory": ("inspect @good.pt", "ulimit -v 700000; {}", {}, "out of memory|not fit into"),
}


@pytest.mark.parametrize("cause", PROCESSES)
def test_processes(cause: str, folder: Path) -> None:
    command, shell, variables, said = PROCESSES[cause]
    shutil.copy(Path(__file__).parents[1] / "golden" / "single.h5", folder / "old.h5")
    before = sorted(path.name for path in folder.iterdir())
    ended = started(command, folder, shell, **variables, NEUROSSM_CACHE="")
    lines = ended.stderr.decode().splitlines()
    assert ended.returncode == 1, lines
    assert lines[-1].startswith("neurossm: ")
    assert len(lines) == 1 + ("carries no checksum" in lines[0]), lines
    assert re.search(said, lines[-1]), lines
    assert sorted(path.name for path in folder.iterdir()) == before


def test_letters_that_a_terminal_lacks(folder: Path) -> None:
    few = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    ended = started("targets", folder, **few)
    assert ended.returncode == 0, ended.stderr
    assert b"H\\xf6ppner" in ended.stdout  # Höppner, in a price's source
    assert ended.stderr == b""


def test_closed_errors_do_not_land_in_an_output(folder: Path) -> None:
    ended = started("export @good.pt -o closed.h5", folder, "{} 2>&- <&-")
    assert ended.returncode == 0
    ended = started("inspect @closed.h5", folder)
    assert ended.returncode == 0, ended.stderr
