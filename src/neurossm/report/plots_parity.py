"""Figures about agreement: accuracy on three rungs, spikes per layer, margins, states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from neurossm.arrays import FloatArray
from neurossm.report.drawing import BLUE, GREEN, INK, ORANGE, RED, Plot, panels
from neurossm.report.evidence import Evidence

_RUNGS = {"float": "trained", "approximated": "approximated", "fixed": "integers"}


def accuracy(evidence: Evidence) -> Plot | None:
    """Accuracy of each rung with its 95 % interval; None without labels."""
    results = evidence.verification.results
    known = {rung: value for rung, value in results["accuracy"].items() if value is not None}
    if not known:
        return None
    figure, (axis,) = panels(1, width=5.2, height=1.1 + 0.4 * len(known))
    for position, (rung, value) in enumerate(known.items()):
        interval = results["accuracy_interval"][rung]
        span = [
            [100 * max(0.0, value - interval["low"])],
            [100 * max(0.0, interval["high"] - value)],
        ]
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


def agreement(evidence: Evidence) -> Plot:
    """Spikes that differ, per layer and rung."""
    results = evidence.verification.results
    series = {"highest rung to integers": results["layers"]}
    names = {"float_approximated": "approximations", "approximated_fixed": "integers alone"}
    for key, label in names.items():
        if results["rungs"][key] is not None and results["rungs"]["float_approximated"] is not None:
            series[label] = results["rungs"][key]["layers"]
    figure, (axis,) = panels(1, width=6.4, height=2.8)
    width = 0.8 / len(series)
    for index, ((label, layers), colour) in enumerate(
        zip(series.items(), (BLUE, ORANGE, GREEN), strict=False)
    ):
        differing = [100 * (1 - layer["spike_agreement"]) for layer in layers]
        at = np.arange(len(layers)) + (index - (len(series) - 1) / 2) * width
        bars = axis.bar(at, differing, width * 0.92, color=colour, label=label)
        axis.bar_label(bars, fmt="%.2g", fontsize=8, padding=2)
    axis.set_xticks(range(len(results["layers"])), [row["name"] for row in results["layers"]])
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


def margins(evidence: Evidence) -> Plot:
    """Distance of pre-threshold values from the threshold: all, and those that flip."""
    figure, axes = panels(len(evidence.margins))
    bins = np.linspace(-6, 1.5, 61).tolist()
    for axis, layer in zip(axes, evidence.margins, strict=True):
        _log_histogram(axis, layer.all_margins, bins, BLUE, "all")
        _log_histogram(axis, layer.flipped, bins, RED, "spike differs")
        axis.axvline(
            np.log10(max(layer.error, 1e-6)),
            color=INK,
            linestyle="--",
            linewidth=1,
            label="integer error",
        )
        axis.set_yscale("log")
        axis.set_title(layer.layer)
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


def _log_histogram(
    axis: Axes, values: FloatArray, bins: Sequence[float], colour: str, label: str
) -> None:
    logs = np.log10(np.maximum(values, 1e-6))
    axis.hist(np.clip(logs, bins[0], bins[-1]), bins=bins, color=colour, alpha=0.75, label=label)


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
