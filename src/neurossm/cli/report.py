"""`neurossm report`: write an HTML page with everything about a program on data."""

from __future__ import annotations

from pathlib import Path

import click

from neurossm.cli.output import json_option, open_output
from neurossm.registry import DEFAULT_ENGINE, engine_names

__all__ = ["command"]


@click.command("report")
@click.argument("program", type=click.Path(path_type=Path))
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="DATA.npz with x (and y)."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="The trained model the program came from: the highest rung.",
)
@click.option(
    "-o",
    "--output",
    "page_path",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="HTML file to write.",
)
@click.option(
    "--plots",
    "plots_folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the figures there too, as PNG and SVG.",
)
@click.option("--hw", help="Prices: a target of `neurossm targets`, or FILE.toml.")
@click.option("--limit", type=int, help="Only the first N samples. [default: 100]")
@click.option(
    "--engine",
    "engines",
    type=click.Choice(engine_names()),
    multiple=True,
    help=f"May be repeated: every pair is compared. [default: {DEFAULT_ENGINE}]",
)
@json_option
def command(
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

    The page is one file that opens without a network.
    """
    with open_output(json_path) as output:
        from neurossm.datafile import load_data
        from neurossm.files import require_writable
        from neurossm.reporting import DEFAULT_LIMIT, report

        require_writable(page_path, program, data, model)
        samples = load_data(data)
        used = min(DEFAULT_LIMIT, len(samples.x)) if limit is None else limit
        with output.progress("watching", 2 * used) as advance:
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
                progress=advance,
            )
        output.line(f"{found.verification.samples} samples; {found.verification.verdict}")
        output.line(f"wrote {page_path}")
        if found.plots:
            output.line(f"wrote {len(found.plots)} figures to {plots_folder}")
        output.json(found.to_json())
