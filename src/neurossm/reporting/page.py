"""Write a report: one HTML file that needs nothing else, and its figures on request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import neurossm
from neurossm.files import atomic_path, require_writable
from neurossm.origin import imported_line_of
from neurossm.reporting import plots_cost, plots_parity, plots_spikes
from neurossm.reporting.drawing import Plot, drawing, save_all, to_svg
from neurossm.reporting.evidence import Evidence
from neurossm.reporting.tables import shown, tables

_FILES = ("page.html.j2", "style.css", "script.js")


@dataclass(frozen=True)
class Fact:
    """One number of the summary, with what it means."""

    value: str
    label: str


def write_page(evidence: Evidence, path: str | os.PathLike[str]) -> None:
    """Write the report as one HTML file, whole or not at all.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    require_writable(path)
    page = render(evidence)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def write_plots(evidence: Evidence, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write every figure as PNG and SVG into a folder, made if needed; return the paths.

    Raises
    ------
    InputError
        The folder cannot be made or written to.
    """
    return save_all(plots(evidence), folder)


def plots(evidence: Evidence) -> Iterator[Plot]:
    """Yield every figure of the report."""
    with drawing():
        agreeing = plots_parity.of_verification(evidence.verification)
    yield from agreeing
    makers = (
        plots_spikes.rasters,
        plots_parity.states,
        plots_cost.operations,
        plots_cost.energy,
        plots_cost.cores,
    )
    for make in makers:
        with drawing():
            plot = make(evidence)
        if plot is not None:
            yield plot


def render(evidence: Evidence) -> str:
    """Return the page."""
    template, style, script = (
        resources.files(__package__).joinpath("assets").joinpath(name).read_text("utf-8")
        for name in _FILES
    )
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    return environment.from_string(template).render(
        style=Markup(style),  # ours, not the user's
        script=Markup(script),
        plots=[(plot, Markup(to_svg(plot))) for plot in plots(evidence)],
        tables=list(tables(evidence)),
        verification=evidence.verification,
        facts=_facts(evidence),
        remarks=_remarks(evidence),
        source=_source(evidence),
        evidence=evidence,
        version=neurossm.__version__,
    )


def _facts(evidence: Evidence) -> list[Fact]:
    found, cost = evidence.verification, evidence.cost
    facts = []
    accuracy = found.accuracy["fixed"]
    if accuracy is not None:
        facts.append(Fact(f"{accuracy:.2%}", "accuracy of the integers"))
    facts.append(Fact(f"{found.top1_agreement:.2%}", "predictions equal to the float model's"))
    worst = min(found.layers, key=lambda layer: layer.spike_agreement, default=None)
    if worst is not None:
        facts.append(
            Fact(f"{worst.spike_agreement:.2%}", f"spikes equal in {worst.name}, the worst")
        )
    operations = cost.totals.operations / cost.samples
    facts.append(Fact(f"{operations / 1e6:,.4g} M", "operations per sample"))
    total = cost.energy.total
    least = "≥ " if total.is_minimum else ""
    facts.append(Fact(f"{least}{total.low / 1e6:,.4g} µJ", f"per sample, {cost.energy.label}"))
    if cost.placement is not None:
        facts.append(Fact(f"{cost.placement.cores_used}", f"cores of {cost.placement.target}"))
    return facts


def _remarks(evidence: Evidence) -> list[str]:
    """Say what a reader should not overlook."""
    cost, totals = evidence.cost, evidence.cost.totals
    remarks = [evidence.verification.verdict, *evidence.verification.warnings]
    used = cost.samples
    if used < evidence.available:
        remarks.append(f"Only the first {used:,} of {evidence.available:,} samples were used.")
    states, synapses = totals.state_multiplies + totals.state_adds, totals.synaptic_operations
    if states > totals.Dense - synapses:
        remarks.append(
            f"The states take {states / used:,.0f} operations per sample, more than the "
            f"{(totals.Dense - synapses) / used:,.0f} synaptic operations that zeros save."
        )
    if cost.energy.is_proxy:
        remarks.append(
            f"Nobody has published what an operation costs on {cost.hw}. Its energies are "
            f"estimates: {cost.energy.label}."
        )
    if cost.energy.static_power_mw is None:
        remarks.append(f"The static power of {cost.hw} is unknown and not included.")
    if not evidence.verification.engines:
        remarks.append("Engines were not compared with each other; give --engine twice to do so.")
    return remarks


def _source(evidence: Evidence) -> list[tuple[str, Any]]:
    program = evidence.program
    model = program.provenance.get("model", {})
    widths = program.provenance.get("options", {}).get("widths", {})
    entries = [
        ("Model", model.get("source")),
        ("Model's sha256", model.get("sha256")),
        ("Model's origin", imported_line_of(program.provenance)),
        ("Target", program.target),
        ("Scaling", program.provenance.get("options", {}).get("scaling")),
        ("Widths (bits)", ", ".join(f"{name} {bits}" for name, bits in widths.items())),
        ("Longest sample", f"{program.max_steps:,} steps"),
        ("Data", f"{evidence.data_name}: {evidence.cost.samples:,} samples"),
        ("Compiled with", program.provenance.get("neurossm")),
    ]
    return [(name, value) for name, value in entries if value]
