"""What is written, what is refused before anything is, and what the emitted functions refuse."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import errors
from neurossm import program as p
from neurossm.c import STYLES, build, emit, engine, source_of
from neurossm.cli import cli
from neurossm.program import Program, reference

GOLDEN = Path(__file__).parents[1] / "golden"
styles = pytest.mark.parametrize("style", STYLES)


@pytest.fixture
def program() -> Program:
    return Program.load(GOLDEN / "binary-bytes.h5")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@styles
def test_the_same_program_gives_the_same_bytes(
    program: Program, style: str, tmp_path: Path
) -> None:
    emit(program, tmp_path / "a", style=style)
    again = Program.load(GOLDEN / "binary-bytes.h5")
    assert again.emit(tmp_path / "b", style=style).files
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert program.sha256 in (tmp_path / "a" / "network.h").read_text()


def test_emitting_again_replaces_what_nobody_edited(program: Program, tmp_path: Path) -> None:
    emit(program, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    emit(program, tmp_path / "out", style="vector")
    assert "NETWORK_CHUNK" in (tmp_path / "out" / "network.h").read_text()
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert sorted(content(tmp_path / "out")) == [
        "Makefile", "main.c", "network.c", "network.h", "network_parameters.h", "notes.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["main.c", "Makefile", "network.h", "data.bin"])
@pytest.mark.parametrize("whose", ["edited", "foreign", "link", "folder"])
def test_nothing_of_others_is_overwritten(
    program: Program, name: str, whose: str, tmp_path: Path
) -> None:
    folder, data = tmp_path / "out", np.zeros((1, 2, 2), np.uint8)
    emit(program, folder, data=data)
    path = folder / name
    if whose == "edited" and name != "data.bin":
        path.write_text(path.read_text().replace("network", "Network", 1))
    else:
        path.unlink()
        {
            "edited": lambda: path.write_bytes(b"\x00"),
            "foreign": lambda: path.write_text("all:\n"),
            "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
            "folder": path.mkdir,
        }[whose]()
    before = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
    with pytest.raises(errors.InputError, match=rf"{name}: was not emitted .*; move it, or"):
        emit(program, folder, style="vector", data=data)
    assert before == {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
    assert not (tmp_path / "elsewhere").exists()


def test_a_failure_leaves_nothing(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for folder in (tmp_path / "new", tmp_path):
        with pytest.raises(errors.InputError, match="cannot be written: No space left"):
            emit(program, folder)
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, options, message in (
        ("out", {"style": "fast"}, "style 'fast' is unknown; known: portable, vector"),
        ("out", {"name": "a-b"}, "name 'a-b': must be a small letter, then"),
        ("out", {"name": "main"}, "name 'main': is that of main.c"),
        ("out", {"data": np.zeros((1, 3), np.uint8)}, "data: x has shape"),
        ("file", {}, "file: is no folder"),
        ("no/such", {}, "no/such: folder .*no does not exist; create it first"),
    ):
        with pytest.raises(errors.InputError, match=message):
            emit(program, tmp_path / folder, **options)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_operation_without_an_equation_is_refused_by_name(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurossm.c.lowering.lower", _without(p.Dense))
    with pytest.raises(errors.UnsupportedError, match="encoder.sum: C has no Dense here"):
        emit(program, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _without(kind: type[p.Op]) -> object:
    from neurossm.c.lowering import lower

    known = lower.dispatch

    def call(op: p.Op, to: object) -> None:
        known(p.Op if isinstance(op, kind) else type(op))(op, to)  # type: ignore[arg-type]

    return call


def test_the_command(tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    with np.load(GOLDEN / "binary-bytes.npz") as file:
        np.savez(data, x=file["data"])
    out = tmp_path / "Net-1"
    arguments = ["emit", str(GOLDEN / "binary-bytes.h5"), "-o", str(out), "--data", str(data)]
    outcome = CliRunner().invoke(cli, [*arguments, "--limit", "2", "--json", "-"])
    assert outcome.exit_code == 0, outcome.output
    results = json.loads(outcome.stdout)
    assert results["name"] == "binary_bytes"
    assert sorted(results["files"]) == sorted(content(out))
    if shutil.which("make") and shutil.which("cc"):
        done = subprocess.run(["make", "check", "CFLAGS=-O1"], cwd=out, capture_output=True)
        assert b"0 samples differ" in done.stdout, done.stderr
        assert done.stdout.count(b"sample ") == 2
        broken = bytearray((out / "data.bin").read_bytes())
        broken[-1] ^= 1  # of the sum over the last tensor
        (out / "data.bin").write_bytes(broken)
        done = subprocess.run(["make", "check"], cwd=out, capture_output=True)
        assert done.returncode != 0
        assert b"add: differs" in done.stdout


@styles
def test_the_memory_table_is_what_the_compiler_lays_out(
    program: Program, style: str, tmp_path: Path
) -> None:
    """Constants of the object file are the parameters; `sizeof` is asserted where it is built."""
    for tool in ("gcc", "nm"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    source = emit(program, tmp_path / "out", style=style)
    folder = tmp_path / "out"
    subprocess.run(["gcc", "-O0", "-c", "network.c"], cwd=folder, check=True)
    symbols = subprocess.run(
        ["nm", "-S", "network.o"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    constant = re.findall(r"^\S+ (\S+) [rR] p\d+$", symbols, flags=re.M)
    assert sum(int(size, 16) for size in constant) == source.parameter_bytes
    assert not re.findall(r" [bBdDC] ", symbols), "something besides the state can change"
    undefined = set(re.findall(r" U (\S+)", symbols))
    assert undefined <= {"memset", "memcpy", "_GLOBAL_OFFSET_TABLE_"}
    table = source.files["network.h"]
    all_of_it = re.search(r" all +(\d+) +(\d+)\n", table)
    assert all_of_it is not None
    assert [int(n) for n in all_of_it.groups()] == [source.parameter_bytes, source.state_bytes]


@pytest.fixture
def small(networks: ModuleType) -> Program:
    made: Program = networks.random_program(3, kind="tokens", inputs=5, channels=3, max_steps=6)
    return made


@styles
def test_a_refused_step_changes_nothing(small: Program, style: str) -> None:
    library = engine.library_of(small, style, "")
    network, other = engine.LoadedNetwork(library), engine.LoadedNetwork(library)
    code, size = library.code, library.code.bench_bytes()

    def run(one: engine.LoadedNetwork, *tokens: int) -> int:
        x = np.array(tokens, np.uint8)
        return int(code.bench_run(one._at, x.ctypes.data, len(x), None))

    def memory(one: engine.LoadedNetwork) -> bytes:
        return ctypes.string_at(one._at, size)

    network.reset()
    other.reset()
    assert network.read()[2][small.readout.name] == -1, "logits before the first step"
    assert run(network, 4, 0) == 0
    before = memory(network)
    assert run(network, 5) == 1, "token 5 of 5"
    assert run(network, 255) == 1
    assert memory(network) == before
    assert run(network, 1, 2, 7, 3) == 1
    assert run(network, 0, 3, 1) == 2, "the seventh step"
    assert run(other, 4, 0, 1, 2, 0, 3) == 0, "two instances know nothing of each other"
    np.testing.assert_array_equal(network.read()[0], other.read()[0])
    expected = reference.run(small, np.array([[4, 0, 1, 2, 0, 3]]))
    np.testing.assert_array_equal(network.read()[0], expected.logits[0])


def test_without_a_compiler_one_line_says_so(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = np.zeros((1, 2, 2), np.uint8)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    engine.library_of.cache_clear()
    with pytest.raises(errors.MissingDependencyError, match="needs a C compiler.*--engine fast"):
        program.run(data, engine="c")
    monkeypatch.setenv("CC", "no-such-cc -m64")
    with pytest.raises(errors.MissingDependencyError, match="CC is 'no-such-cc -m64'"):
        program.run(data, engine="c")


def test_a_compiler_that_fails_is_quoted_in_one_line(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFLAGS", "-include no_such_file.h")
    engine.library_of.cache_clear()
    with pytest.raises(errors.RunError, match="failed: .*no_such_file.h") as caught:
        program.run(np.zeros((1, 2, 2), np.uint8), engine="c-vector")
    assert "\n" not in str(caught.value)


def test_a_library_is_compiled_once(monkeypatch: pytest.MonkeyPatch, networks: ModuleType) -> None:
    source = source_of(networks.random_program(11, channels=2))
    files = {**source.files, "bench.c": '#include "network.c"\n'}
    calls = []
    compile_ = build._compile
    monkeypatch.setattr(build, "_compile", lambda *a: calls.append(a) or compile_(*a))  # type: ignore[func-returns-value]
    build.library(files, "bench.c")
    build.library(files, "bench.c")
    build.library(files, "bench.c", ["-DOTHER"])
    assert len(calls) == 2
    monkeypatch.setenv("NEUROSSM_CACHE", "")  # nowhere to keep it
    build.library(files, "bench.c")
    assert len(calls) == 3


def test_names_of_any_kind(networks: ModuleType, compared: object) -> None:
    """Tensors may be called anything; comments and strings hold it, and nothing else."""
    from dataclasses import replace

    program = networks.random_program(5, channels=2, blocks=1)
    names = {op.name: f'{i} \\ " * é\n?? %s int' for i, op in enumerate(program.ops)}
    ops = [
        replace(op, name=names[op.name], inputs=tuple(names[one] for one in op.inputs))
        for op in program.ops
    ]
    strange = program.with_ops(ops)
    assert compared(strange, networks.random_data(program.input, 5))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("lengths", "limit", "message"),
    [
        ([3, 2], (), "holds lengths, which data.bin cannot"),
        (None, ("--limit", "0"), "limit 0, but there are 2 samples"),
        (None, ("--limit", "3"), "limit 3, but there are 2 samples"),
    ],
)
def test_samples_that_cannot_be_written(
    lengths: list[int] | None, limit: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    arrays = {"x": np.zeros((2, 3, 1), np.uint8)}
    np.savez(tmp_path / "d.npz", **arrays, **({} if lengths is None else {"lengths": lengths}))
    words = ("emit", str(GOLDEN / "binary-bytes.h5"), "-o", str(tmp_path / "out"))
    outcome = CliRunner().invoke(cli, [*words, "--data", str(tmp_path / "d.npz"), *limit])
    assert outcome.exit_code == 1, outcome.output
    assert message in outcome.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lengths", [None, [3, 3]])
def test_fewer_samples_than_are_written_by_default(
    lengths: list[int] | None, tmp_path: Path
) -> None:
    size = Program.load(GOLDEN / "binary-bytes.h5").input.out.channels
    arrays = {"x": np.zeros((2, 3, size), np.uint8)}
    np.savez(tmp_path / "d.npz", **arrays, **({} if lengths is None else {"lengths": lengths}))
    words = ("emit", str(GOLDEN / "binary-bytes.h5"), "-o", str(tmp_path / "out"))
    outcome = CliRunner().invoke(cli, [*words, "--data", str(tmp_path / "d.npz")])
    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "out" / "data.bin").stat().st_size > 0
