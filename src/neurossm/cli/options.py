"""Options that several commands share: one name, one meaning and one default each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from neurossm.registry import DEFAULT_ENGINE, engine_names

Decorator: TypeAlias = Callable[..., Any]


def file_argument(name: str, **settings: Any) -> Decorator:
    """Return an argument that is a path; the library reports what is wrong with it."""
    return click.argument(name, type=click.Path(path_type=Path), **settings)


def file_option(*names: str, **settings: Any) -> Decorator:
    """Return an option that is a path."""
    return click.option(*names, type=click.Path(path_type=Path), **settings)


class OutputPath(click.Path):
    """The type of an option that names a file to write; all others that name files are read."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


def output_option(*names: str, **settings: Any) -> Decorator:
    """Return an option that is the path of a file to write; `open_output` checks it."""
    return click.option(*names, type=OutputPath(), **settings)


def shown_option(*names: str, default: Any, **settings: Any) -> Decorator:
    """Return an option whose help ends with its default."""
    return click.option(*names, default=default, show_default=True, **settings)


def data_option(holds: str = "x (and y, lengths)") -> Decorator:
    """Return `--data`, which holds such samples."""
    return file_option("--data", required=True, help=f"DATA.npz with {holds}.")


def limit_option(otherwise: str = "") -> Decorator:
    """Return `--limit`; `otherwise` says what it is if it is not given."""
    return click.option("--limit", type=int, help=f"Only the first N samples.{otherwise}")


def engine_option(purpose: str | None = None) -> Decorator:
    """Return `--engine`, given once."""
    names = click.Choice(engine_names())
    return shown_option("--engine", type=names, default=DEFAULT_ENGINE, help=purpose)


def plots_option(purpose: str) -> Decorator:
    """Return `--plots`, a folder."""
    return file_option("--plots", "plots_folder", metavar="DIR", help=purpose)


engines_option = click.option(
    "--engine",
    "engines",
    type=click.Choice(engine_names()),
    multiple=True,
    help=f"May be repeated: every pair is compared. [default: {DEFAULT_ENGINE}]",
)
model_option = file_option(
    "--model", help="The trained model the program came from: the highest rung."
)
