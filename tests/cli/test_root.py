from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import neurossm
from neurossm.cli import _SUMMARIES, cli
from neurossm.cli.root import RootGroup
from neurossm.errors import InputError, NeuroSSMError

HEAVY = ("torch", "lava", "numba", "numpy", "h5py", "matplotlib", "rich")
PROGRAM = [sys.executable, "-c", "from neurossm.cli import main; main()"]

Toy = Callable[..., RootGroup]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Return a function that makes a command group out of the bodies of its commands."""

    def make(**bodies: str) -> RootGroup:
        package = tmp_path / "toycommands"
        package.mkdir()
        (package / "__init__.py").touch()
        for name, body in bodies.items():
            source = (
                "import click\n"
                "from neurossm.errors import *\n"
                "@click.command()\n"
                "@click.option('--bits', type=int)\n"
                f"def command(bits):\n    {body}\n"
            )
            (package / f"{name}.py").write_text(source)
        summaries = {name: f"Summary of {name}." for name in [*bodies, "absent"]}
        return RootGroup("toy", commands_package="toycommands", summaries=summaries)

    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "toycommands"]:
        monkeypatch.delitem(sys.modules, name)
    return make


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from neurossm.cli import cli\n"
        "try:\n    cli(['--help'])\n"
        f"finally:\n    print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stderr == "[]\n"
    assert "doctor" in child.stdout


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_are_quick(option: str) -> None:
    # The least of three: other work on the machine can only add to CPU time.
    assert min(_cpu_seconds([*PROGRAM, option]) for _ in range(3)) < 0.4


def _cpu_seconds(command: list[str]) -> float:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_version() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"neurossm {neurossm.__version__}\n")


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 0
    assert result.stdout == CliRunner().invoke(cli, ["--help"]).stdout


@pytest.mark.parametrize("name", _SUMMARIES)
def test_every_listed_command_can_be_imported(name: str) -> None:
    context = click.Context(cli)
    if name not in cli.list_commands(context):
        suffix = "_" if name == "import" else ""
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"neurossm.cli.{name}{suffix}")
        return
    command = cli.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert "--debug" in [option for parameter in command.params for option in parameter.opts]


def test_listing_imports_no_command(toy: Toy) -> None:
    result = CliRunner().invoke(toy(good="pass", broken="pass\nraise RuntimeError"), ["--help"])
    assert result.exit_code == 0
    assert "Summary of good." in result.stdout
    assert "Summary of broken." in result.stdout
    assert "absent" not in result.stdout


def test_a_command_runs(toy: Toy) -> None:
    result = CliRunner().invoke(toy(good="click.echo(f'bits {bits}')"), ["good", "--bits", "8"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "bits 8\n", "")


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        (
            "raise InputError('a.npz: x has 2 axes, expected 3')",
            1,
            "a.npz: x has 2 axes, expected 3",
        ),
        ("raise LimitError('two\\nlines')", 1, "two lines"),
        ("raise click.BadParameter('no')", 2, "Invalid value: no (see 'toy bad --help')"),
        ("raise click.FileError('f', 'no')", 1, "Could not open file 'f': no"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("raise MemoryError", 1, "out of memory: try fewer or shorter samples"),
        ("raise MemoryError('need 8 GiB')", 1, "out of memory: need 8 GiB"),
        (
            "[][3]",
            1,
            "internal error: IndexError: list index out of range (--debug shows the traceback)",
        ),
    ],
)
def test_an_error_is_one_line(toy: Toy, body: str, status: int, line: str) -> None:
    result = CliRunner().invoke(toy(bad=body), ["bad"], prog_name="toy")
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr == f"neurossm: {line}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "No such command 'nothing' (see 'toy --help')"),
        (["--nothing"], "No such option '--nothing' (see 'toy --help')"),
        (["good", "--nothing"], "No such option '--nothing' (see 'toy good --help')"),
        (
            ["good", "--bits", "x"],
            "Invalid value for '--bits': 'x' is not a valid integer (see 'toy good --help')",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(toy: Toy, arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(toy(good="pass"), arguments, prog_name="toy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"neurossm: {line}\n"


def test_debug_shows_the_traceback_before_the_line(toy: Toy) -> None:
    result = CliRunner().invoke(toy(bad="raise FormatError('foreign')"), ["bad", "--debug"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.endswith("neurossm: foreign\n")


def test_debug_may_stand_before_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurossm.cli.doctor.inspect_environment", _fail)
    result = CliRunner().invoke(cli, ["--debug", "doctor"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "Traceback" not in CliRunner().invoke(cli, ["doctor"]).stderr


def _fail() -> None:
    raise InputError("no")


def test_the_base_error_is_caught_too(toy: Toy) -> None:
    result = CliRunner().invoke(toy(bad="raise NeuroSSMError('base')"), ["bad"])
    assert (result.exit_code, result.stderr) == (1, "neurossm: base\n")
    assert issubclass(InputError, NeuroSSMError)
