"""`neurossm verify`: compare a program with its float model, and engines with each other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from neurossm.cli.output import Output, json_option, open_output
from neurossm.engine import DEFAULT_ENGINE
from neurossm.engine.names import engine_names

__all__ = ["command"]

_PARTS = 4


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
    type=click.Choice(engine_names()),
    multiple=True,
    help=f"May be repeated: every pair is compared. [default: {DEFAULT_ENGINE}]",
)
@click.option(
    "--integers",
    type=click.Choice(("sample", "all")),
    default="sample",
    show_default=True,
    help="Between engines: every tensor and state of a few samples, or of all. Spikes, residuals "
    "and logits are compared on all samples anyway.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the choice of those samples."
)
@click.option(
    "--state-samples",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Samples on which states are compared with the float models'.",
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
@click.option(
    "--plots",
    "plots_folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write figures there, as PNG and SVG.",
)
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
            from neurossm.report.drawing import require_folder

            require_folder(plots_folder)
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
                integers=integers,
                state_samples=state_samples,
                seed=seed,
                reproducers=_beside(json_path, plots_folder),
            )
        _show(output, outcome.results)
        if plots_folder is not None:
            _draw(output, outcome.results, plots_folder)
        for warning in outcome.warnings:
            output.line(f"warning: {warning}")
        output.line("passed" if outcome.passed else "FAILED")
        output.json(outcome.results)
    if not outcome.passed:
        context.exit(1)


def _beside(json_path: str | None, plots_folder: Path | None) -> Path:
    """Return the folder of the other outputs."""
    if json_path not in (None, "-"):
        return Path(str(json_path)).parent
    return plots_folder or Path()


def _draw(output: Output, results: dict[str, Any], folder: Path) -> None:
    from neurossm.report.drawing import drawing, save_all
    from neurossm.report.plots_parity import of_verification

    with drawing():
        paths = save_all(of_verification(results), folder)
    output.line(f"wrote {len(paths)} figures to {folder}")


def _show(output: Output, results: dict[str, Any]) -> None:
    upper = results["highest_rung"]
    if upper is None:
        output.line(
            f"{results['samples']} samples; the program holds no float model: no rungs to compare"
        )
    else:
        output.line(f"{results['samples']} samples, {upper} model against integers")
        _show_accuracy(output, results)
        _show_agreement(output, results)
        _show_layers(output, results)
        _show_time(output, results)
    _show_engines(output, results)
    output.table(
        "Checks",
        ["check", "value", "limit", "ok"],
        [(row["name"], row["value"], row["limit"], row["ok"]) for row in results["checks"]],
    )


def _show_agreement(output: Output, results: dict[str, Any]) -> None:
    interval = results["top1_agreement_interval"]
    output.line(
        f"top-1 agreement {results['top1_agreement']:.2%} "
        f"({interval['low']:.2%} to {interval['high']:.2%})"
    )
    if results["first_divergence_step"] is None:
        output.line("no spike differs in any sample")
    else:
        output.line(
            f"spikes differ in {results['samples_diverged']} samples, first at step "
            f"{results['first_divergence_step']} (median {results['median_divergence_step']:g})"
        )


def _show_layers(output: Output, results: dict[str, Any]) -> None:
    """Show each pair of rungs."""
    upper = results["highest_rung"]
    parts = {f"{upper} - fixed": results["layers"]}
    if results["rungs"]["float_approximated"] is not None:
        for key, part in results["rungs"].items():
            parts[key.replace("_", " - ")] = part["layers"]
    output.table(
        "Layers, all rungs free-running (signal-to-quantisation-noise in dB; states: of "
        f"{len(results['state_samples'])} samples)",
        [
            "rungs",
            "layer",
            "spikes equal",
            "firing rate",
            "pre-threshold",
            "residual",
            "state",
            "flipped margin (median, of RMS)",
            "first flip (median step)",
        ],
        [
            (
                name,
                row["name"],
                f"{row['spike_agreement']:.3%}",
                f"{row['firing_rate']:.3f}",
                row["pre_threshold_snr_db"],
                row["residual_snr_db"],
                row.get("state_snr_db"),
                row["flipped_margin_quantiles"]["0.5"],
                row["median_divergence_step"],
            )
            for name, layers in parts.items()
            for row in layers
        ],
    )


def _show_time(output: Output, results: dict[str, Any]) -> None:
    """Show the agreement in four parts of time; JSON and figures have all windows."""
    edges = results["window_edges"]
    windows = len(edges) - 1
    if windows < _PARTS:
        return
    borders = [round(i * windows / _PARTS) for i in range(_PARTS + 1)]
    spans = list(pairwise(borders))
    rows = []
    for row in results["layers"]:
        values = row["over_time"]["spike_agreement"]
        cells = []
        for low, high in spans:
            weights = [edges[i + 1] - edges[i] for i in range(low, high)]
            total = sum(w * v for w, v in zip(weights, values[low:high], strict=True))
            cells.append(f"{total / sum(weights):.3%}")
        rows.append((row["name"], *cells))
    output.table(
        f"Spikes equal over time, {results['highest_rung']} - fixed",
        ["layer", *(f"steps {edges[low]} to {edges[high] - 1}" for low, high in spans)],
        rows,
    )


def _show_engines(output: Output, results: dict[str, Any]) -> None:
    if not results["engines"]:
        return
    output.table(
        "Engines",
        ["engine", "engine", "integers compared", "samples in full", "mismatches"],
        [
            (row["a"], row["b"], row["compared"], row["samples_in_full"], row["mismatches"])
            for row in results["engines"]
        ],
    )
    for row in results["engines"]:
        if row["first_mismatch"] is not None:
            output.line(f"first mismatch: {row['first_mismatch']}")
        if row["reproducer"] is not None:
            output.line(f"smallest program that shows it: {row['reproducer']}")


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
