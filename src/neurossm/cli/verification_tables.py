"""What `neurossm verify` shows people."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from neurossm.cli.output import Output

if TYPE_CHECKING:
    from neurossm.parity import Verification
    from neurossm.parity.results import RungResult


_PARTS = 4


def show(output: Output, found: Verification) -> None:
    """Show a verification as tables."""
    if found.highest is None:
        output.line(
            f"{found.samples} samples; the program holds no float model: no rungs to compare"
        )
    else:
        output.line(f"{found.samples} samples, {found.highest_rung} model against integers")
        _show_accuracy(output, found)
        _show_agreement(output, found, found.highest)
        if found.layers:
            _show_layers(output, found)
            _show_time(output, found)
    _show_engines(output, found)
    output.table(
        "Checks",
        ["check", "value", "limit", "ok"],
        [(check.name, check.value, check.limit, check.ok) for check in found.checks],
    )


def show_remarks(output: Output, found: Verification) -> None:
    """Say what an imported model was made with, and what to beware of."""
    if found.origin is not None:
        output.line(f"Model {found.origin}")
    for warning in found.warnings:
        output.line(f"warning: {warning}")


def _show_agreement(output: Output, found: Verification, pair: RungResult) -> None:
    share = found.top1_agreement_interval
    assert share is not None  # as there is a pair of rungs
    output.line(f"top-1 agreement {share.value:.2%} ({share.low:.2%} to {share.high:.2%})")
    diverged = pair.divergence
    if not pair.layers:
        output.line("no layer spikes: predictions alone are compared")
    elif diverged.first_divergence_step is None:
        output.line("no spike differs in any sample")
    else:
        output.line(
            f"spikes differ in {diverged.samples_diverged} samples, first at step "
            f"{diverged.first_divergence_step} (median {diverged.median_divergence_step:g})"
        )


def _show_layers(output: Output, found: Verification) -> None:
    """Show each pair of rungs."""
    parts = {f"{found.highest_rung} - fixed": found.layers}
    if found.float_approximated is not None and found.approximated_fixed is not None:
        parts["float - approximated"] = found.float_approximated.layers
        parts["approximated - fixed"] = found.approximated_fixed.layers
    output.table(
        "Layers, all rungs free-running (signal-to-quantisation-noise in dB; states: of "
        f"{len(found.state_samples)} samples)",
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
                layer.name,
                f"{layer.spike_agreement:.3%}",
                f"{layer.firing_rate:.3f}",
                layer.pre_threshold_snr_db,
                layer.residual_snr_db,
                None if layer.states is None else layer.states.state_snr_db,
                layer.flipped_margin_quantiles["0.5"],
                layer.divergence.median_divergence_step,
            )
            for name, layers in parts.items()
            for layer in layers
        ],
    )


def _show_time(output: Output, found: Verification) -> None:
    """Show the agreement in four parts of time; JSON and figures have all windows."""
    edges = found.window_edges
    windows = len(edges) - 1
    if windows < _PARTS:
        return
    borders = [round(i * windows / _PARTS) for i in range(_PARTS + 1)]
    spans = list(pairwise(borders))
    rows = []
    for layer in found.layers:
        values = layer.over_time.spike_agreement
        cells = []
        for low, high in spans:
            weights = [edges[i + 1] - edges[i] for i in range(low, high)]
            total = sum(w * v for w, v in zip(weights, values[low:high], strict=True))
            cells.append(f"{total / sum(weights):.3%}")
        rows.append((layer.name, *cells))
    output.table(
        f"Spikes equal over time, {found.highest_rung} - fixed",
        ["layer", *(f"steps {edges[low]} to {edges[high] - 1}" for low, high in spans)],
        rows,
    )


def _show_engines(output: Output, found: Verification) -> None:
    if not found.engines:
        return
    output.table(
        "Engines",
        ["engine", "engine", "integers compared", "samples in full", "mismatches"],
        [
            (pair.a, pair.b, pair.compared, pair.samples_in_full, pair.mismatches)
            for pair in found.engines
        ],
    )
    for pair in found.engines:
        if pair.first_mismatch is not None:
            output.line(f"first mismatch: {pair.first_mismatch}")
        if pair.reproducer is not None:
            output.line(f"smallest program that shows it: {pair.reproducer}")


def _show_accuracy(output: Output, found: Verification) -> None:
    rows = [
        (rung, f"{share.value:.2%}", f"{share.low:.2%} to {share.high:.2%}")
        for rung, share in found.accuracy_interval.items()
        if share is not None
    ]
    paired = found.paired_difference
    if not rows or paired is None:
        return
    output.table("Accuracy", ["rung", "accuracy", "95 % interval"], rows)
    output.line(
        f"fixed minus {found.highest_rung}: {100 * paired.difference:+.2f} points "
        f"({100 * paired.low:+.2f} to {100 * paired.high:+.2f}), "
        f"McNemar p = {paired.p_value:.3g}"
    )
