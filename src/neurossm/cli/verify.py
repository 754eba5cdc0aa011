"""`neurossm verify`: compare a program with its float model, and engines with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from neurossm.cli.output import Output, json_option, open_output
from neurossm.engine import DEFAULT_ENGINE, ENGINES

__all__ = ["command"]


@click.command("verify")
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
    "--engine",
    "engines",
    type=click.Choice(ENGINES),
    multiple=True,
    help=f"May be repeated: every pair is compared. [default: {DEFAULT_ENGINE}]",
)
@click.option("--limit", type=int, help="Only the first N samples.")
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
@json_option
@click.pass_context
def command(
    context: click.Context,
    program: Path,
    data: Path,
    model: Path | None,
    engines: tuple[str, ...],
    limit: int | None,
    min_agreement: float | None,
    max_drop: float | None,
    json_path: str | None,
) -> None:
    """Compare PROGRAM with the float networks it stands for; exit 1 if a check fails."""
    with open_output(json_path) as output:
        from neurossm.datafile import load_data
        from neurossm.parity import verify
        from neurossm.program import Program

        loaded = Program.load(program)
        samples = load_data(data).limited(limit)
        with output.progress("verifying", len(samples.x)) as progress:
            outcome = verify(
                loaded,
                samples.x,
                samples.y,
                model,
                engines or (DEFAULT_ENGINE,),
                min_agreement,
                max_drop,
                progress,
            )
        _show(output, outcome.results)
        for warning in outcome.warnings:
            output.line(f"warning: {warning}")
        output.line("passed" if outcome.passed else "FAILED")
        output.json(outcome.results)
    if not outcome.passed:
        context.exit(1)


def _show(output: Output, results: dict[str, Any]) -> None:
    upper = results["highest_rung"]
    output.line(f"{results['samples']} samples, {upper} model against integers")
    _show_accuracy(output, results)
    output.line(f"top-1 agreement {results['top1_agreement']:.2%}")
    output.table(
        f"Layers: {upper} against fixed, both free-running",
        [
            "layer",
            "spikes equal",
            "firing rate",
            "pre-threshold SNR (dB)",
            "residual SNR (dB)",
            "median first flip (step)",
        ],
        [
            (
                row["name"],
                f"{row['spike_agreement']:.3%}",
                f"{row['firing_rate']:.3f}",
                row["pre_threshold_snr_db"],
                row["residual_snr_db"],
                row["median_divergence_step"],
            )
            for row in results["layers"]
        ],
    )
    _show_rungs(output, results)
    if results["engines"]:
        output.table(
            "Engines",
            ["engine", "engine", "integers compared", "mismatches", "first mismatch"],
            [
                (row["a"], row["b"], row["compared"], row["mismatches"], row["first_mismatch"])
                for row in results["engines"]
            ],
        )
    output.table(
        "Checks",
        ["check", "value", "limit", "ok"],
        [(row["name"], row["value"], row["limit"], row["ok"]) for row in results["checks"]],
    )


def _show_rungs(output: Output, results: dict[str, Any]) -> None:
    """Show what the approximations cost apart from what the integers cost."""
    titles = {
        "float_approximated": "trained model to approximations",
        "approximated_fixed": "approximations to integers",
    }
    rungs = {titles[name]: rung for name, rung in results["rungs"].items() if rung is not None}
    if len(rungs) < 2:
        return
    rows = [
        (title, f"{rung['top1_agreement']:.2%}", row["name"], f"{row['spike_agreement']:.3%}")
        for title, rung in rungs.items()
        for row in rung["layers"]
    ]
    output.table("Rung by rung", ["from, to", "top-1 equal", "layer", "spikes equal"], rows)


def _show_accuracy(output: Output, results: dict[str, Any]) -> None:
    rows = [
        (rung, f"{value:.2%}", f"{interval['low']:.2%} to {interval['high']:.2%}")
        for rung, value in results["accuracy"].items()
        if value is not None
        for interval in [results["accuracy_interval"][rung]]
    ]
    if not rows:
        return
    output.table("Accuracy", ["rung", "accuracy", "95 % interval"], rows)
    paired = results["paired_difference"]
    output.line(
        f"fixed minus {results['highest_rung']}: {100 * paired['difference']:+.2f} points "
        f"({100 * paired['low']:+.2f} to {100 * paired['high']:+.2f}), "
        f"McNemar p = {paired['p_value']:.3g}"
    )
