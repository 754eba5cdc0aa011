"""Figures about agreement: accuracy, spikes per layer and in time, noise in time, margins, states.

All but the last are drawn from the results of `neurossm.verify` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurossm.parity import Verification
from neurossm.parity.results import Decibels, LayerResult
from neurossm.reporting.drawing import BLUE, GREEN, INK, ORANGE, PURPLE, RED, SKY, Plot, panels
from neurossm.reporting.evidence import Evidence

_RUNGS = {"float": "trained", "approximated": "approximated", "fixed": "integers"}


_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)


def accuracy(found: Verification) -> Plot | None:
    """Accuracy of each rung with its 95 % interval; None without labels."""
    known = {rung: share for rung, share in found.accuracy_interval.items() if share is not None}
    if not known:
        return None
    figure, (axis,) = panels(1, width=5.2, height=1.1 + 0.4 * len(known))
    for position, share in enumerate(known.values()):
        value = share.value
        span = [[100 * max(0.0, value - share.low)], [100 * max(0.0, share.high - value)]]
        axis.errorbar(100 * value, position, xerr=span, fmt="o", color=BLUE, ecolor=INK, capsize=4)
        axis.annotate(
            f"{100 * value:.2f} %",
            (100 * value, position),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            color=INK,
        )
    axis.set_yticks(range(len(known)), [_RUNGS[rung] for rung in known])
    axis.set_ylim(len(known) - 0.5, -0.7)
    axis.set_xlabel("accuracy (%)")
    axis.grid(axis="x")
    caption = (
        "Share of samples classified correctly by the trained float model, the float model after "
        "the compiler's approximations, and the integer program; bars are 95 % intervals (Wilson)."
    )
    return Plot("accuracy", "Accuracy on three rungs", caption, figure)


def _series(found: Verification) -> dict[str, Sequence[LayerResult]]:
    """Return the layers of each pair of rungs, under what lies between them."""
    series: dict[str, Sequence[LayerResult]] = {"highest rung to integers": found.layers}
    if found.float_approximated is not None and found.approximated_fixed is not None:
        series["approximations"] = found.float_approximated.layers
        series["integers alone"] = found.approximated_fixed.layers
    return series


def agreement(found: Verification) -> Plot:
    """Spikes that differ, per layer and rung."""
    series = _series(found)
    figure, (axis,) = panels(1, width=6.4, height=2.8)
    width = 0.8 / len(series)
    for index, ((label, layers), colour) in enumerate(
        zip(series.items(), (BLUE, ORANGE, GREEN), strict=False)
    ):
        differing = [100 * (1 - layer.spike_agreement) for layer in layers]
        at = np.arange(len(layers)) + (index - (len(series) - 1) / 2) * width
        bars = axis.bar(at, differing, width * 0.92, color=colour, label=label)
        axis.bar_label(bars, fmt="%.2g", fontsize=8, padding=2)
    axis.set_xticks(range(len(found.layers)), [layer.name for layer in found.layers])
    axis.set_ylabel("spikes that differ (%)")
    axis.margins(y=0.15)
    axis.grid(axis="y")
    if len(series) > 1:
        axis.legend(ncols=len(series), loc="lower left", bbox_to_anchor=(0, 1))
    caption = (
        "Share of spikes that differ between the float model and the integer program, layer by "
        "layer, both running freely: a spike that differs in one layer also disturbs all later "
        "ones. Lower is better."
    )
    return Plot("agreement", "Spikes that differ per layer", caption, figure)


def in_time(found: Verification) -> Plot:
    """Spikes that differ in each window of time, by layer, for each pair of rungs."""
    series = _series(found)
    figure, axes = panels(len(series), columns=1, height=2.0)
    centres = _centres(found)
    for axis, (label, layers) in zip(axes, series.items(), strict=True):
        for layer, colour in zip(layers, _cycle(len(layers)), strict=True):
            differing = 100 * (1 - np.array(layer.over_time.spike_agreement))
            axis.plot(centres, differing, color=colour, label=layer.name, linewidth=1.4)
        axis.set_title(label)
        axis.set_ylabel("spikes that differ (%)")
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, found.steps)
        axis.grid(axis="y")
    axes[-1].set_xlabel("time step")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=min(6, len(labels)), loc="outside upper right", fontsize=9)
    caption = (
        "Share of spikes that differ, by layer, in equal windows of time. A line that rises says "
        "that errors accumulate; one that stays level, that the network forgets them."
    )
    return Plot("in-time", "Spikes that differ over time", caption, figure)


def noise(found: Verification) -> Plot:
    """Signal-to-noise ratio of pre-threshold values, residual and states over time."""
    layers = found.layers
    ratios_of: dict[str, list[Decibels | None]] = {
        "before the threshold": [layer.over_time.pre_threshold_snr_db for layer in layers],
        "residual": [layer.over_time.residual_snr_db for layer in layers],
        "states": [_states_over_time(layer) for layer in layers],
    }
    shown = {name: lines for name, lines in ratios_of.items() if any(lines)}
    figure, axes = panels(max(1, len(shown)), columns=3, height=2.7)
    centres = _centres(found)
    for axis, (name, lines) in zip(axes, shown.items(), strict=False):
        for layer, line, colour in zip(layers, lines, _cycle(len(layers)), strict=True):
            ratios = [np.nan if value is None else value for value in line or []]
            axis.plot(centres[: len(ratios)], ratios, color=colour, label=layer.name, linewidth=1.4)
        axis.set_title(name)
        axis.set_xlabel("time step")
        axis.set_xlim(0, found.steps)
        axis.grid(axis="y")
    axes[0].set_ylabel("signal to error (dB)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=min(6, len(labels)), loc="outside upper right", fontsize=9)
    caption = (
        "Energy of the float model's values over the energy of what the integers add, in equal "
        "windows of time; 20 dB more is an error ten times smaller. Both run freely, so that "
        f"spikes that differ upstream count. States: of {len(found.state_samples)} samples."
    )
    return Plot("noise", "Signal to quantisation noise over time", caption, figure)


def margins(found: Verification) -> Plot:
    """Distance of pre-threshold values from the threshold: all, and those that flip."""
    layers = found.layers
    figure, axes = panels(len(layers))
    for axis, layer in zip(axes, layers, strict=True):
        seen = layer.margins
        borders = np.log10(np.maximum(seen.edges, 1e-12))
        for counts, colour, label in (
            (seen.all, BLUE, "all"),
            (seen.flipped, RED, "spike differs"),
        ):
            axis.stairs(counts, borders, color=colour, fill=True, alpha=0.75, label=label)
        axis.axvline(
            np.log10(max(layer.pre_threshold_error, 1e-12)),
            color=INK,
            linestyle="--",
            linewidth=1,
            label="integer error",
        )
        axis.set_yscale("log")
        axis.set_xlim(-6, max(1.5, float(borders[-1])) if len(borders) else 1.5)
        axis.set_title(layer.name)
        axis.set_xlabel("distance from threshold (log10, of RMS)")
        axis.grid(axis="y")
    axes[0].set_ylabel("values")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, loc="outside upper right", fontsize=9)
    caption = (
        "How far the float model's pre-threshold values are from the threshold, as a share of "
        "their root mean square. The integers change spikes whose value is near the threshold: "
        "mostly within a few times the integer error, whose root mean square is dashed."
    )
    return Plot("margins", "Pre-threshold margins", caption, figure)


def of_verification(found: Verification) -> list[Plot]:
    """Return every figure that the results of a verification give."""
    by_layer = (agreement, in_time, noise, margins) if found.layers else ()
    plots = [make(found) for make in (accuracy, *by_layer)]
    return [plot for plot in plots if plot is not None]


def _centres(found: Verification) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the middle of each window of time."""
    edges = np.array(found.window_edges, dtype=np.float64)
    return (edges[1:] + edges[:-1]) / 2


def _states_over_time(layer: LayerResult) -> Decibels | None:
    return None if layer.states is None else layer.states.state_snr_db_over_time


def _cycle(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]


def states(evidence: Evidence) -> Plot:
    """Occupancy of the states: bits below the proved bound."""
    figure, axes = panels(len(evidence.states))
    bins = np.arange(-24.0, 1.01, 0.5).tolist()
    for axis, layer in zip(axes, evidence.states, strict=True):
        axis.hist(np.maximum(layer.used, bins[0]), bins=bins, color=BLUE, alpha=0.85)
        axis.axvline(0, color=RED, linewidth=1.5)
        axis.annotate(
            "bound",
            (0, 0.9),
            xycoords=("data", "axes fraction"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            color=RED,
            fontsize=9,
        )
        axis.set_yscale("log")
        axis.set_title(f"{layer.layer}: {layer.bits} bits")
        axis.set_xlabel("bits below the bound, log2(|s| / bound)")
        axis.grid(axis="y")
    axes[0].set_ylabel("state values")
    caption = (
        "Real and imaginary parts of the states while the first sample runs, each against the "
        "bound of its own channel and mode. One bit to the left is half the bound; nothing may "
        "lie to the right of the line."
    )
    return Plot("states", "States against their bounds", caption, figure)
