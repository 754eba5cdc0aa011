"""`neurossm tune`: search for the narrowest widths that keep the accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.options import (
    data_option,
    engine_option,
    file_argument,
    file_option,
    limit_option,
    output_option,
    shown_option,
)
from neurossm.cli.output import Output, json_option, open_output
from neurossm.compile.options import DEFAULT_TARGET, SCALINGS, WIDTH_RANGES, CompileOptions

if TYPE_CHECKING:
    from neurossm.tuning import Tuning


@click.command("tune")
@file_argument("model")
@data_option("x, and y and lengths where there are any")
@output_option(
    "-o",
    "--output",
    "precision_path",
    required=True,
    help="File to write, for `neurossm compile --precision`.",
)
@shown_option(
    "--max-drop",
    type=click.FloatRange(0, 1),
    default=0.001,
    help="Largest loss of accuracy as a fraction, as in `verify`: 0.001 allows 99.3 % instead of "
    "99.4 %.",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Least share of predictions equal to the float model's, 0 to 1.",
)
@shown_option(
    "--samples",
    type=int,
    default=1000,
    help="Samples to search with, at most half of all; the others confirm.",
)
@click.option("--confirm-samples", type=int, help="Samples to confirm with. [default: the others]")
@limit_option()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(WIDTH_RANGES)),
    help="A kind of width to tune; may be repeated. [default: all]",
)
@shown_option(
    "--trim/--no-trim",
    default=True,
    help="Also narrow what saves no whole byte, down to the last bit.",
)
@shown_option("--seed", type=int, default=0, help="Of the split of the data.")
@shown_option("--target", default=DEFAULT_TARGET, help="As in `compile`.")
@engine_option("What runs the programs that are tried.")
@shown_option(
    "--scaling",
    type=click.Choice(SCALINGS),
    default=CompileOptions().scaling,
    help="As in `compile`; calibrated scaling lets states be narrower.",
)
@file_option(
    "--calibration", help="DATA.npz, as in `compile`. [default: the checkpoint's own batch]"
)
@json_option
def command(
    model: Path,
    data: Path,
    precision_path: Path,
    max_drop: float,
    min_agreement: float,
    samples: int,
    confirm_samples: int | None,
    limit: int | None,
    only: tuple[str, ...],
    trim: bool,
    seed: int,
    target: str,
    engine: str,
    scaling: str,
    calibration: Path | None,
    json_path: str | None,
) -> None:
    """Find the narrowest widths of MODEL, by layer, that lose at most --max-drop of accuracy.

    One part of the data searches, the other confirms. The widths are written for
    `neurossm compile --precision`.
    """
    with open_output(json_path) as output:
        from neurossm.compile.precision import save_precision
        from neurossm.datafile import load_data
        from neurossm.tuning import TuneOptions, tune

        loaded = load_data(data).limited(limit)
        with output.progress() as progress:
            tuning = tune(
                model,
                loaded,
                None,
                TuneOptions(max_drop, min_agreement, samples, confirm_samples, only, trim, seed),
                target,
                CompileOptions(scaling=scaling),
                None if calibration is None else load_data(calibration),
                progress,
                engine=engine,
            )
        save_precision(precision_path, tuning.precision, _remarks(tuning, model.name))
        _show(output, tuning, precision_path)
        output.json({"precision": precision_path, **tuning.to_json()})


def _remarks(tuning: Tuning, model: str) -> tuple[str, ...]:
    confirmed, samples = tuning.confirmed, tuning.samples[1]
    allowed = f"{100 * tuning.settings.max_drop:g} percentage points"
    return (
        f"Written by `neurossm tune {model}` for a loss of accuracy of at most {allowed}.",
        f"On {samples} held-out samples: {100 * confirmed.drop:.3f} points lost,",
        f"{100 * confirmed.agreement:.2f} % of the predictions as in float;",
        f"{tuning.chosen.score.size_bytes} bytes instead of {tuning.start.score.size_bytes}.",
    )


def _show(output: Output, tuning: Tuning, path: Path) -> None:
    output.table(
        "Pareto front on the samples of the search: bytes against agreement",
        ["bytes", "of the start", "top-1 agreement", "accuracy change (points)", ""],
        [
            (
                score.size_bytes,
                f"{score.size_bytes / tuning.start.score.size_bytes:.1%}",
                f"{score.agreement:.2%}",
                f"{-100 * score.drop:+.2f}",
                "chosen" if score is tuning.chosen.score else "",
            )
            for score in tuning.front
        ],
    )
    names = [name for name in WIDTH_RANGES if any(g.width == name for g in tuning.groups)]
    bits = tuning.chosen.choice
    layers = dict.fromkeys(group.layer for group in tuning.groups)
    output.table(
        "Widths in bits",
        ["layer", *names],
        [
            [layer, *({g.width: bits[g] for g in bits if g.layer == layer}.get(n) for n in names)]
            for layer in layers
        ],
    )
    against = "accuracy" if tuning.labelled else "agreement with the float model (no labels given)"
    for part, score, count, reference in (
        ("search", tuning.chosen.score, tuning.samples[0], tuning.float_accuracy[0]),
        ("held out", tuning.confirmed, tuning.samples[1], tuning.float_accuracy[1]),
    ):
        paired = score.paired
        output.line(
            f"{part}, {count} samples: {against} {reference + paired.difference:.2%} against "
            f"{reference:.2%}: {100 * paired.difference:+.2f} points "
            f"({100 * paired.low:+.2f} to {100 * paired.high:+.2f}), "
            f"top-1 agreement {score.agreement:.2%}"
        )
    if tuning.stepped_back:
        output.line(
            f"{tuning.stepped_back} of {len(tuning.path) - 1} steps were taken back: the held-out "
            "samples did not confirm them."
        )
    output.line(
        f"{tuning.start.score.size_bytes} bytes became {tuning.chosen.score.size_bytes} "
        f"({tuning.chosen.score.size_bytes / tuning.start.score.size_bytes:.1%}); "
        f"{tuning.tried} choices tried. Written: {path}"
    )
