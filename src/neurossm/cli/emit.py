"""`neurossm emit`: write a program in another language."""

from __future__ import annotations

import re
from pathlib import Path

import click

from neurossm.cli.output import json_option, open_output
from neurossm.registry import languages


@click.command("emit")
@click.argument("program", type=click.Path(path_type=Path))
@click.option("--language", type=click.Choice(list(languages())), default="c", show_default=True)
@click.option(
    "--style",
    type=click.Choice(list(dict.fromkeys(s for one in languages().values() for s in one.styles))),
    help="portable: C99 in integers, for any chip; vector: with GNU C's vectors and doubles, for "
    "the cores of a computer. [default: portable]",
)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; files in it that were edited are not overwritten.",
)
@click.option("--name", help="What files and functions begin with. [default: as PROGRAM is called]")
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    help="DATA.npz with x: written as data.bin, with all that follows from it, for `make check`.",
)
@click.option("--limit", type=int, help="Only the first N samples.  [default: 10]")
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
        data = None if data_path is None else load_data(data_path).limited(limit or 10).x
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


def identifier_of(stem: str) -> str:
    """Return a name made of a file's: "binary_s4d" of "Binary-S4D"."""
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:24].strip("_")
    return name if name[:1].isalpha() else f"network_{name}".strip("_")
