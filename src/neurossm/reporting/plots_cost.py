"""Figures about cost: operations, energy, the load of cores."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from neurossm.cost import Energy
from neurossm.place.groups import NeuronGroup
from neurossm.reporting.drawing import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Plot,
    panels,
)
from neurossm.reporting.evidence import Evidence

_OPERATIONS = {
    "additions by spikes (AC)": ("Effective_ACs", BLUE),
    "multiply-adds of graded values (MAC)": ("Effective_MACs", SKY),
    "state multiplications": ("state_multiplies", RED),
    "state additions": ("state_adds", ORANGE),
    "other multiplications": ("elementwise_multiplies", PURPLE),
    "other additions": ("elementwise_adds", GREEN),
}


def operations(evidence: Evidence) -> Plot:
    """Operations per sample and layer, stacked, with the dense float model below."""
    cost = evidence.cost
    figure, (axis,) = panels(1, width=7.2, height=1.6 + 0.34 * (len(cost.layers) + 1))
    names = list(cost.layers)
    left = np.zeros(len(names))
    for label, (key, colour) in _OPERATIONS.items():
        values = np.array([getattr(cost.layers[name], key) for name in names]) / cost.samples / 1e6
        axis.barh(names, values, left=left, color=colour, label=label)
        left += values
    macs = cost.float_model.total_macs / 1e6
    for left_end, hatch, label in ((0.0, "///", "multiplications"), (macs, "", "additions")):
        axis.barh(
            ["float model, whole"],
            [macs],
            left=left_end,
            color="none",
            edgecolor=INK,
            hatch=hatch,
            label=f"{label} of the float model",
        )
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("million operations per sample")
    axis.grid(axis="x")
    figure.legend(ncols=2, loc="outside upper left", fontsize=8.5)
    caption = (
        "What each layer does per sample, counted on real samples; below, the whole network as a "
        f"dense float model, a multiplication and an addition per multiply-add. {_mixing(evidence)}"
    )
    return Plot("operations", "Operations by layer", caption, figure)


def _mixing(evidence: Evidence) -> str:
    """Say what the mixing of channels is made of."""
    if not any(op.emits == "spikes" for op in evidence.program.ops):
        return "No layer spikes: the mixing of channels multiplies graded values."
    return (
        "Spikes turn the mixing of channels into additions, and few of them; the state updates run "
        "at every step, whether or not anything spikes."
    )


def energy(evidence: Evidence) -> Plot:
    """Energy per sample by part, one panel per set of prices."""
    cost = evidence.cost
    energies = [cost.energy, *cost.others]
    if cost.float_energy is not None:
        energies.append(cost.float_energy)
    figure, axes = panels(len(energies), height=2.3)
    for axis, entry in zip(axes, energies, strict=True):
        title = entry.hw
        if entry is cost.float_energy:
            title = f"dense float model, {entry.hw}"
        _energy_bars(axis, entry, title)
    caption = (
        f"Estimated energy per sample: counts times published prices. {cost.energy.hw}: "
        f"{cost.energy.label}. Lines reach from the low to the high end of what the sources "
        "leave open; ≥ marks a published minimum. Static power is not included. The panels have "
        "scales of their own."
    )
    return Plot("energy", "Energy by part and by prices", caption, figure)


def _energy_bars(axis: Axes, entry: Energy, title: str) -> None:
    parts = {**entry.parts, "total": entry.total}
    scale, unit = _unit(entry.total.high)
    for position, (name, part) in enumerate(parts.items()):
        low, high = part.low / scale, part.high / scale
        colour = INK if name == "total" else BLUE
        axis.barh(position, low, color=colour, alpha=0.85 if name != "total" else 0.7)
        if high > low:
            axis.plot([low, high], [position, position], color=RED, linewidth=2)
            axis.plot([high], [position], "|", color=RED, markersize=9)
        text = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        axis.annotate(
            f"{'≥ ' if part.is_minimum else ''}{text}",
            (high, position),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axis.set_yticks(range(len(parts)), list(parts))
    axis.invert_yaxis()
    axis.set_xlabel(f"{unit} per sample")
    axis.set_title(title + (" (proxy)" if entry.is_proxy else ""))
    axis.margins(x=0.45)
    axis.set_xlim(left=0)
    axis.grid(axis="x")


def _unit(energy_pj: float) -> tuple[float, str]:
    for scale, unit in ((1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if energy_pj >= scale:
            return scale, unit
    return 1.0, "pJ"


def cores(evidence: Evidence) -> Plot | None:
    """Every core of the chips used, coloured by its load; None without several."""
    cost = evidence.cost
    if cost.placement is None or cost.placement.cores_used == 1:
        return None
    loads = [load.operations_per_step for load in cost.cores]
    per_chip = max(load.core.core for load in cost.cores) + 1
    width = ceil(sqrt(per_chip))
    rows = ceil(per_chip / width)
    chips = min(cost.placement.chips_used, 8)
    columns = min(chips, 2)
    figure, axes = panels(
        chips, columns=columns, width=1.2 + 4.4 * columns, height=0.4 * rows + 0.4
    )
    colours, peak = colormaps["viridis"], max(max(loads), 1e-9)
    names = short_names(cost.placement.groups)
    for chip, axis in enumerate(axes):
        for load in cost.cores:
            if load.core.chip == chip:
                share = load.operations_per_step / peak
                at = load.core.core % width, load.core.core // width
                _core(axis, at, names[load.core.group], colours(share), share > 0.6)
        axis.set_xlim(-0.1, width + 0.1)
        axis.set_ylim(rows + 0.1, -0.1)
        axis.set_aspect("equal")
        axis.set_axis_off()
        axis.set_title(f"chip {chip}")
    figure.colorbar(
        ScalarMappable(Normalize(0, peak), "viridis"),
        ax=axes,
        shrink=0.7,
        label="operations in a mean step",
    )
    cut = "" if chips == cost.placement.chips_used else f" (the first {chips} chips)"
    caption = (
        f"{cost.placement.cores_used} cores on {cost.placement.chips_used} chip(s) of "
        f"{cost.placement.target}{cut}; {cost.placement.least_cores} would hold the network, more "
        f"make a step shorter. E encoder, S state space and spike, M mixing and gate, L "
        "statistics of a norm, R readout, "
        f"with the number of the block. The busiest core does {cost.imbalance or 1:.2f} times the "
        "mean."
    )
    return Plot("cores", "Cores and their load", caption, figure)


def _core(
    axis: Axes, at: tuple[int, int], name: str, colour: tuple[float, ...], is_light: bool
) -> None:
    box = Rectangle((at[0] + 0.05, at[1] + 0.05), 0.9, 0.9, facecolor=colour, edgecolor=FAINT)
    axis.add_patch(box)
    ink = "#000000" if is_light else "#ffffff"
    axis.text(at[0] + 0.5, at[1] + 0.5, name, ha="center", va="center", fontsize=7, color=ink)


def short_names(groups: Sequence[NeuronGroup]) -> dict[str, str]:
    """Return for each group, by name, one letter for its kind and the number of its block.

    A block is a layer that has states.
    """
    blocks = list(dict.fromkeys(group.layer for group in groups if group.modes))
    sent = {unit for group in groups for unit in group.sends}
    decoder = groups[-1].unit.op
    names = {}
    for group in groups:
        number = str(blocks.index(group.layer)) if group.layer in blocks else ""
        if group.unit.op == decoder:
            letter = "R"
        elif group.unit.part == "statistics":
            letter = "L"
        elif group.modes:
            letter = "S"
        elif any(source.unit not in sent for source in group.sources):  # it comes from outside
            letter = "E"
        else:
            letter = "M"
        names[group.name] = letter + number
    return names
