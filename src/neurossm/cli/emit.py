"""`neurossm emit`: write a program in another language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from neurossm.cli.options import file_argument, file_option, limit_option
from neurossm.cli.output import json_option, open_output
from neurossm.errors import InputError
from neurossm.registry import languages

if TYPE_CHECKING:
    from neurossm.datafile import Data

SAMPLES = 10
"""Samples that are written unless told otherwise."""


@click.command("emit")
@file_argument("program")
@click.option("--language", type=click.Choice(list(languages())), default="c", show_default=True)
@click.option(
    "--style",
    type=click.Choice(list(dict.fromkeys(s for one in languages().values() for s in one.styles))),
    help="portable: C99 in integers, for any chip; vector: with GNU C's vectors and doubles, for "
    "the cores of a computer. [default: portable]",
)
@file_option(
    "-o",
    "--output",
    "folder",
    required=True,
    help="Folder to write; files in it that were edited are not overwritten.",
)
@click.option("--name", help="What files and functions begin with. [default: as PROGRAM is called]")
@file_option(
    "--data",
    "data_path",
    help="DATA.npz with x: written as data.bin, with all that follows from it, for `make check`.",
)
@limit_option(f" [default: {SAMPLES}]")
@json_option
def command(
    program: Path,
    language: str,
    style: str | None,
    folder: Path,
    name: str | None,
    data_path: Path | None,
    limit: int | None,
    json_path: str | None,
) -> None:
    """Write PROGRAM as C that anyone can compile: the same integers on any processor."""
    if limit is not None and data_path is None:
        raise click.UsageError("--limit is of --data: give --data DATA.npz too")
    with open_output(json_path) as output:
        from neurossm.datafile import load_data
        from neurossm.program import Program

        loaded = Program.load(program)
        data = None if data_path is None else _samples(load_data(data_path), limit)
        source = loaded.emit(
            folder, language, style=style, name=name or identifier_of(program.stem), data=data
        )
        files = [*source.files, *([] if data is None else ["data.bin"])]
        output.line(f"{program} in {language}: {folder}/{{{', '.join(files)}}}")
        output.line(
            f"parameters {source.parameter_bytes:,} bytes, state {source.state_bytes:,} bytes; "
            f"the table is in {source.name}.h"
        )
        output.json(
            {
                "folder": str(folder),
                "files": files,
                "name": source.name,
                "sha256": loaded.sha256,
                "parameter_bytes": source.parameter_bytes,
                "state_bytes": source.state_bytes,
            }
        )


def _samples(data: Data, limit: int | None) -> NDArray[np.generic]:
    """Return the samples to write; the format of data.bin gives all of them the same steps."""
    chosen = data.limited(min(SAMPLES, len(data.x)) if limit is None else limit)
    if chosen.lengths is not None and (chosen.lengths != chosen.x.shape[1]).any():
        raise InputError(
            f"{data.where}: holds lengths, which data.bin cannot; give samples of one length, "
            "cut to it"
        )
    return chosen.x


def identifier_of(stem: str) -> str:
    """Return a name made of a file's: "binary_s4d" of "Binary-S4D"."""
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:24].strip("_")
    return name if name[:1].isalpha() else f"network_{name}".strip("_")
