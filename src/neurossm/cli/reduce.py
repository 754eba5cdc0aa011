"""`neurossm reduce`: fewer modes of the state-space layers of a model."""

from __future__ import annotations

from pathlib import Path

import click

from neurossm.cli.options import (
    file_argument,
    file_option,
    limit_option,
    output_option,
    shown_option,
)
from neurossm.cli.output import Output, json_option, open_output
from neurossm.reduction.options import ReduceOptions
from neurossm.reduction.outcome import Reduction


@click.command("reduce")
@file_argument("model")
@output_option("-o", "--output", "reduced_path", required=True, help="Checkpoint to write.")
@click.option("--modes", type=float, help="Modes per channel to keep, on average.")
@click.option(
    "--max-error", type=float, help="Largest relative error of a channel's output, 0 to 1."
)
@click.option(
    "--max-drop",
    type=float,
    help="Largest loss of accuracy on --data as a fraction: the fewest modes that keep it.",
)
@click.option("--uniform", is_flag=True, help="All channels keep as many (--modes).")
@click.option("--keep-dead", is_flag=True, help="Keep the modes of channels that do nothing, too.")
@shown_option(
    "--polish-steps",
    type=int,
    default=ReduceOptions.polish_steps,
    help="Steps in which the remaining poles move to where they serve best.",
)
@click.option(
    "--length", type=int, help="Steps of a sequence. [default: those of the calibration samples]"
)
@file_option("--data", help="DATA.npz with x and y, to state accuracies and for --max-drop.")
@limit_option()
@json_option
def command(
    model: Path,
    reduced_path: Path,
    modes: float | None,
    max_error: float | None,
    max_drop: float | None,
    uniform: bool,
    keep_dead: bool,
    polish_steps: int,
    length: int | None,
    data: Path | None,
    limit: int | None,
    json_path: str | None,
) -> None:
    """Fit the responses of MODEL, a checkpoint, with fewer modes, more where they matter more.

    Give one of --modes, --max-error and --max-drop. `neurossm train --init` fine-tunes the result.
    """
    with open_output(json_path) as output:
        from neurossm.datafile import load_data
        from neurossm.models.checkpoint import save
        from neurossm.reduction import reduce

        options = ReduceOptions(modes, max_error, max_drop, uniform, polish_steps, keep_dead)
        loaded = None if data is None else load_data(data).limited(limit)
        with output.progress() as progress:
            found = reduce(model, options, loaded, length, progress)
        made = found.checkpoint
        save(
            reduced_path,
            made.model,
            made.calibration,
            made.training,
            calibration_lengths=made.calibration_lengths,
        )
        _show(output, found, reduced_path)
        output.json({"model": reduced_path, **found.to_json()})


def _show(output: Output, found: Reduction, path: Path) -> None:
    output.table(
        "Modes, and relative errors of the channels that keep some: median, largest",
        ["layer", "modes", "of", "per channel", "impulse response", "output on data", "dead"],
        [layer.row() for layer in found.layers],
    )
    before, after = found.modes
    if found.accuracy is not None:
        was, now = found.accuracy
        output.line(f"Float accuracy {now:.2%}, before {was:.2%}; not fine-tuned.")
    basis = "the spectrum of the calibration data" if found.weighted else "a flat spectrum"
    output.line(f"{before} modes became {after}, by {basis} over {found.length} steps: {path}")
