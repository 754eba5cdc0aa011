"""What `neurossm verify` shows people."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from neurossm.cli.output import Output

__all__ = ["show"]

_PARTS = 4


def show(output: Output, results: dict[str, Any]) -> None:
    """Show the results of a verification as tables."""
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
