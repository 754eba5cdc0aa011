"""`neurossm inspect`: show what a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from neurossm.cli.options import file_argument
from neurossm.cli.output import Output, json_option, open_output


@click.command("inspect")
@file_argument("file")
@json_option
def command(file: Path, json_path: str | None) -> None:
    """Show what FILE holds: a checkpoint, a float graph, a program, or a netx network."""
    with open_output(json_path) as output:
        from neurossm.inspection import inspect

        found = inspect(file)
        output.line(f"{file}: {found.kind}")
        _mapping(output, found.properties)
        output.table(found.title, found.columns, found.rows)
        output.json(found.to_json())


def _mapping(output: Output, values: Mapping[str, Any], indent: str = "  ") -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            output.line(f"{indent}{key}:")
            _mapping(output, value, indent + "  ")
        else:
            output.line(f"{indent}{key}: {value}")
