"""What commands print: tables for people, JSON for programs, progress on a terminal.

Every command with results takes `--json FILE` and opens its output before it works::

    @click.command()
    @json_option
    def command(json_path: str | None) -> None:
        with open_output(json_path) as output:
            result = work()
            output.table("Title", ["name", "bits"], [("u", 16)])
            output.json({"tensors": [{"name": "u", "bits": 16}]})
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from neurossm.cli.options import OutputPath
from neurossm.errors import InputError
from neurossm.files import atomic_path, require_writable, same_file
from neurossm.progress import Progress

_PLAIN_WIDTH = 160  # columns for tables that go to a file or a pipe

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def json_option(command: _Decorated) -> _Decorated:
    """Give a command `--json FILE`, passed to it as `json_path`."""
    return click.option(
        "--json",
        "json_path",
        metavar="FILE",
        help="Write the results as JSON; '-' writes them to stdout and nothing else there.",
    )(command)


@dataclasses.dataclass(frozen=True)
class Output:
    """Where a command's results go; see `open_output`."""

    json_path: str | None
    stdout: TextIO

    @property
    def quiet(self) -> bool:
        """Whether stdout belongs to the JSON."""
        return self.json_path == "-"

    def writes(self, path: Path) -> None:
        """Check a file that a command writes without being told its name.

        Raises
        ------
        InputError
            It cannot be written, is read by the command, or is another of its outputs.
        """
        read, written = _files_of_command(self.json_path)
        _check_outputs(read, [path, *written])

    def line(self, text: str = "") -> None:
        """Print one line for people."""
        if not self.quiet:
            self._console().print(Text(text), soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table for people; numbers are aligned to the right.

        Parameters
        ----------
        title
            The line above the table; empty for none.
        columns
            The headings.
        rows
            One value per column. None is shown as "-", a float with four significant digits; a
            value that wants another form comes as a string.
        """
        if self.quiet:
            return
        cells = [[_python(value) for value in row] for row in rows]
        table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
        for index, column in enumerate(columns):
            numeric = any(type(row[index]) in (int, float) for row in cells)
            table.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Text(_shown(value)) for value in row))
        self._console().print(table)

    def json(self, results: Mapping[str, object]) -> None:
        """Write the results where `--json` says, if it was given."""
        if self.json_path is None:
            return
        text = json.dumps(plain(results), indent=2, allow_nan=False) + "\n"
        if self.quiet:
            self.stdout.write(text)
            self.stdout.flush()
            return
        with atomic_path(self.json_path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show how far long work is, on stderr, if that is a terminal: a bar for each part of it.

        Yields
        ------
        Progress
            For any function that takes a `progress`.
        """
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        with Bars(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as bars:
            tasks: dict[str, TaskID] = {}

            def show(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what)
                bars.update(tasks[what], completed=done, total=total)

            yield show

    def _console(self) -> Console:
        width = None if self.stdout.isatty() else _PLAIN_WIDTH
        return Console(file=self.stdout, width=width, highlight=False, markup=False)


@contextlib.contextmanager
def open_output(json_path: str | None) -> Iterator[Output]:
    """Open a command's output before its work, so that a bad `--json` is found first.

    With `--json -` everything that is printed to stdout meanwhile, also by libraries and by child
    processes, goes to stderr.

    Parameters
    ----------
    json_path
        The value of `--json`: None, "-" or a file.

    Yields
    ------
    Output
        Prints and writes the results.

    Raises
    ------
    InputError
        A file of the command's options cannot be written, is read as well, or stands for two.
    """
    _check_outputs(*_files_of_command(json_path))
    if json_path != "-":
        yield Output(json_path, sys.stdout)
        return
    with _stdout_as_stderr() as stdout:
        yield Output(json_path, stdout)


def _files_of_command(json_path: str | None) -> tuple[list[Path], list[Path]]:
    """Return the files that the running command was told to read, and those to write."""
    read: list[Path] = []
    written = [] if json_path in (None, "-") else [Path(str(json_path))]
    context = click.get_current_context(silent=True)
    if context is not None:
        for option in context.command.params:
            value = context.params.get(option.name or "")
            if isinstance(option.type, OutputPath):
                written += [] if value is None else [value]
            elif option.name != "json_path":
                given = value if isinstance(value, tuple) else (value,)
                # a profile is named, or given as a file
                read += [Path(each) for each in given if isinstance(each, (str, Path)) and each]
    return read, written


def _check_outputs(read: list[Path], written: list[Path]) -> None:
    for index, path in enumerate(written):
        require_writable(path, *read)
        if any(same_file(path, other) for other in written[:index]):
            raise InputError(f"{path}: two outputs would go to this file; name another for one")


@contextlib.contextmanager
def _stdout_as_stderr() -> Iterator[TextIO]:
    """Point stdout to stderr and give the true stdout."""
    stdout = sys.stdout
    stdout.flush()
    if stdout is not sys.__stdout__:  # captured in Python only: there is no descriptor to move
        with contextlib.redirect_stdout(sys.stderr):
            yield stdout
        return
    saved = os.dup(1)
    try:
        with (
            os.fdopen(os.dup(saved), "w", encoding="utf-8") as true_stdout,
            contextlib.redirect_stdout(sys.stderr),
        ):
            os.dup2(2, 1)
            yield true_stdout
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def plain(value: object) -> Any:
    """Return a value as JSON can hold it.

    Dataclasses become objects, NumPy arrays and scalars their Python values, paths strings, and
    NaN and infinities null.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if hasattr(value, "tolist"):  # NumPy, without importing it here
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _python(value: object) -> object:
    """Return the Python value of a NumPy scalar, and anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
