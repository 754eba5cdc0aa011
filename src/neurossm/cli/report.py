"""`neurossm report`: write an HTML page with everything about a program on data."""

from __future__ import annotations

from pathlib import Path

import click

from neurossm.cli.options import (
    data_option,
    engines_option,
    file_argument,
    limit_option,
    model_option,
    output_option,
    plots_option,
)
from neurossm.cli.output import json_option, open_output
from neurossm.cli.verification_tables import show_remarks
from neurossm.registry import DEFAULT_ENGINE


@click.command("report")
@file_argument("program")
@data_option()
@model_option
@output_option(
    "-o",
    "--output",
    "page_path",
    default=Path("report.html"),
    show_default=True,
    help="HTML file to write.",
)
@plots_option("Write the figures there too, as PNG and SVG.")
@click.option("--hw", help="Prices: a target of `neurossm targets`, or FILE.toml.")
@limit_option(" [default: 100]")
@engines_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    program: Path,
    data: Path,
    model: Path | None,
    page_path: Path,
    plots_folder: Path | None,
    hw: str | None,
    limit: int | None,
    engines: tuple[str, ...],
    json_path: str | None,
) -> None:
    """Write a page about PROGRAM on data: agreement, spikes, states, operations, energy, cores.

    The page is one file that opens without a network. Exit 1 if a check fails, as `verify`.
    """
    with open_output(json_path) as output:
        from neurossm.datafile import load_data
        from neurossm.reporting import report

        samples = load_data(data)
        with output.progress() as progress:
            found = report(
                program,
                samples,
                None,
                model,
                page_path,
                plots=plots_folder,
                hw=hw,
                engines=engines or DEFAULT_ENGINE,
                limit=limit,
                progress=progress,
            )
        output.line(f"{found.verification.samples} samples; {found.verification.verdict}")
        show_remarks(output, found.verification)
        output.line(f"wrote {page_path}")
        if found.plots:
            output.line(f"wrote {len(found.plots)} figures to {plots_folder}")
        output.json(found.to_json())
    if not found.passed:
        context.exit(1)
