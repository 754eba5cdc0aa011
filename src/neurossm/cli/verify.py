"""`neurossm verify`: compare a program with its float model, and engines with each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.options import (
    data_option,
    engines_option,
    file_argument,
    limit_option,
    model_option,
    plots_option,
    shown_option,
)
from neurossm.cli.output import Output, json_option, open_output
from neurossm.cli.verification_tables import show, show_remarks
from neurossm.registry import DEFAULT_ENGINE

if TYPE_CHECKING:
    from neurossm.parity import Verification


@click.command("verify")
@file_argument("program")
@data_option()
@model_option
@engines_option
@shown_option(
    "--integers",
    type=click.Choice(("sample", "all")),
    default="sample",
    help="Between engines: every tensor and state of a few samples, or of all. Spikes, residuals "
    "and logits are compared on all samples anyway.",
)
@shown_option("--seed", type=int, default=0, help="Of the choice of those samples.")
@shown_option(
    "--state-samples",
    type=click.IntRange(min=0),
    default=4,
    help="Samples on which states are compared with the float models'.",
)
@limit_option()
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    help="Fail below this share of equal spikes in any layer, or of equal predictions.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(-1, 1),
    help="Fail if accuracy drops by more than this fraction.",
)
@plots_option("Write figures there, as PNG and SVG.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    program: Path,
    data: Path,
    model: Path | None,
    engines: tuple[str, ...],
    integers: str,
    seed: int,
    state_samples: int,
    limit: int | None,
    min_agreement: float | None,
    max_drop: float | None,
    plots_folder: Path | None,
    json_path: str | None,
) -> None:
    """Compare PROGRAM with the float networks it stands for; exit 1 if a check fails.

    Where two engines differ, the smallest program found that shows it is written beside the JSON
    file or the figures, or to the working directory.
    """
    with open_output(json_path) as output:
        from neurossm.datafile import load_data
        from neurossm.parity import verify
        from neurossm.program import Program

        if plots_folder is not None:
            from neurossm.reporting.drawing import require_folder

            require_folder(plots_folder)
        loaded = Program.load(program)
        samples = load_data(data).limited(limit)
        with output.progress() as progress:
            outcome = verify(
                loaded,
                samples,
                None,
                model,
                engines or DEFAULT_ENGINE,
                min_agreement,
                max_drop,
                progress,
                integers=integers,
                state_samples=state_samples,
                seed=seed,
                reproducers=_beside(json_path, plots_folder),
            )
        show(output, outcome)
        if plots_folder is not None:
            _draw(output, outcome, plots_folder)
        show_remarks(output, outcome)
        output.line(outcome.verdict)
        output.json(outcome.to_json())
    if not outcome.passed:
        context.exit(1)


def _beside(json_path: str | None, plots_folder: Path | None) -> Path:
    """Return the folder of the other outputs."""
    if json_path not in (None, "-"):
        return Path(str(json_path)).parent
    return plots_folder or Path()


def _draw(output: Output, found: Verification, folder: Path) -> None:
    from neurossm.reporting.drawing import drawing, save_all
    from neurossm.reporting.plots_parity import of_verification

    with drawing():
        paths = save_all(of_verification(found), folder)
    output.line(f"wrote {len(paths)} figures to {folder}")
