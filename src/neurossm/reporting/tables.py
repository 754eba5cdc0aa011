"""The tables of a report: plain rows, shown sortable and offered as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from neurossm.cost.counts import KEYS
from neurossm.cost.energy import Energy
from neurossm.reporting.evidence import Evidence

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class PageTable:
    """A table.

    Parameters
    ----------
    key
        Its place in the page, and the name of its CSV file.
    title
        Heading.
    columns
        Headings of the columns.
    rows
        One value per column; numbers stay numbers.
    note
        What to know to read it.
    """

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def tables(evidence: Evidence) -> Iterator[PageTable]:
    """Yield every table of the report."""
    yield _checks(evidence)
    if any(value is not None for value in evidence.verification.accuracy.values()):
        yield _accuracies(evidence)
    yield _layers(evidence)
    if evidence.verification.engines:
        yield _engines(evidence)
    yield _states(evidence)
    yield _operations(evidence)
    yield _energies(evidence)
    if evidence.cost.cores:
        yield _cores(evidence)
    if evidence.program.approximations:
        yield _approximations(evidence)
    yield _tensors(evidence)


def _checks(evidence: Evidence) -> PageTable:
    rows = [
        (check.name, check.value, check.limit, check.ok) for check in evidence.verification.checks
    ]
    return PageTable("checks", "Checks", ("check", "value", "limit", "ok"), rows)


def _accuracies(evidence: Evidence) -> PageTable:
    found = evidence.verification
    rows = [
        (rung, share.value, share.low, share.high, found.samples)
        for rung, share in found.accuracy_interval.items()
        if share is not None
    ]
    columns = ("rung", "accuracy", "low (95 %)", "high (95 %)", "samples")
    return PageTable("accuracies", "Accuracy", columns, rows)


def _layers(evidence: Evidence) -> PageTable:
    found = evidence.verification
    upper = "trained" if found.highest_rung == "float" else "approximated"
    steps = {f"{upper} to integers": found.layers}
    if found.float_approximated is not None and found.approximated_fixed is not None:
        steps["trained to approximated"] = found.float_approximated.layers
        steps["approximated to integers"] = found.approximated_fixed.layers
    rows = [
        (
            step,
            layer.name,
            layer.spike_agreement,
            layer.spikes_flipped,
            layer.firing_rate,
            layer.pre_threshold_snr_db,
            layer.residual_snr_db,
            None if layer.states is None else layer.states.state_snr_db,
            layer.divergence.first_divergence_step,
            layer.divergence.median_divergence_step,
        )
        for step, layers in steps.items()
        for layer in layers
    ]
    columns = (
        "rungs",
        "layer",
        "spikes equal",
        "spikes that differ",
        "firing rate",
        "pre-threshold SNR (dB)",
        "residual SNR (dB)",
        "state SNR (dB)",
        "first difference (step)",
        "median first difference (step)",
    )
    note = "" if rows else "No layer spikes: predictions alone are compared."
    return PageTable("layers", "Agreement by layer", columns, rows, note)


def _engines(evidence: Evidence) -> PageTable:
    rows = [
        (pair.a, pair.b, pair.compared, pair.mismatches) for pair in evidence.verification.engines
    ]
    columns = ("engine", "other engine", "integers compared", "that differ")
    return PageTable("engines", "Engine against engine", columns, rows)


def _states(evidence: Evidence) -> PageTable:
    rows = [
        (s.layer, s.bits, s.peak, s.bound, s.capacity, s.peak / s.capacity, s.zero_share, s.proved)
        for s in evidence.states
    ]
    columns = (
        "layer",
        "state bits",
        "largest seen",
        "largest bound",
        "capacity",
        "capacity used",
        "share of zeros",
        "proved",
    )
    return PageTable("states", "States", columns, rows, "Of the first sample.")


def _operations(evidence: Evidence) -> PageTable:
    cost = evidence.cost
    rows: list[Sequence[Cell]] = [
        (name, *counts.mean(cost.samples).values()) for name, counts in cost.layers.items()
    ]
    rows.append(("total", *cost.totals.mean(cost.samples).values()))
    columns = ("layer", *(key.replace("_", " ") for key in KEYS))
    note = (
        f"Means per sample of {cost.steps} steps over {cost.samples} samples. Effective ACs, "
        "Effective MACs and Dense follow NeuroBench's rules; it does not see the others."
    )
    return PageTable("operations", "Operations per sample", columns, rows, note)


def _energies(evidence: Evidence) -> PageTable:
    cost = evidence.cost
    rows: list[Sequence[Cell]] = []
    entries = [(energy.hw, energy) for energy in (cost.energy, *cost.others)]
    if cost.float_energy is not None:
        entries.append(("dense float model", cost.float_energy))
    for name, energy in entries:
        rows += _energy_rows(name, energy)
    columns = ("what", "prices", "part", "low (pJ)", "high (pJ)", "at least", "kind")
    note = "Estimates per sample. Sources: " + "; ".join(
        dict.fromkeys(source for _, energy in entries for source in energy.sources)
    )
    return PageTable("energies", "Energy per sample", columns, rows, note)


def _energy_rows(name: str, energy: Energy) -> Iterator[Sequence[Cell]]:
    for part, value in {**energy.parts, "total": energy.total}.items():
        yield name, energy.hw, part, value.low, value.high, value.is_minimum, energy.label
    for part in energy.unpriced:
        yield name, energy.hw, part, None, None, None, "price unknown"


def _cores(evidence: Evidence) -> PageTable:
    rows = [
        (
            load.core.chip,
            load.core.core,
            load.core.group,
            load.core.neurons,
            load.core.state_bytes,
            load.core.parameter_bytes,
            load.core.synapse_bytes,
            load.core.axons_in,
            load.core.axons_out,
            load.operations_per_step,
            load.core.binding_limit,
            load.core.load,
        )
        for load in evidence.cost.cores
    ]
    columns = (
        "chip",
        "core",
        "neurons of",
        "neurons",
        "state bytes",
        "parameter bytes",
        "synapse bytes",
        "axons in",
        "axons out",
        "operations per step",
        "nearest limit",
        "share of it",
    )
    return PageTable("core-loads", "Cores", columns, rows)


def _approximations(evidence: Evidence) -> PageTable:
    rows = [(a.name, a.description, a.max_error) for a in evidence.program.approximations]
    columns = ("name", "what it replaces", "largest error")
    return PageTable("approximations", "Approximations", columns, rows)


def _tensors(evidence: Evidence) -> PageTable:
    rows = [
        (
            op.name,
            type(op).__name__,
            op.out.channels,
            op.out.bits,
            int(op.out.exponent.min()),
            int(op.out.exponent.max()),
            int(op.out.interval.largest().max()),
            op.out.proved,
        )
        for op in evidence.program.ops
    ]
    columns = (
        "tensor",
        "operation",
        "channels",
        "bits",
        "least exponent",
        "largest exponent",
        "bound",
        "proved",
    )
    return PageTable("tensors", "Tensors of the program", columns, rows)


def shown(value: Any) -> str:
    """Return a cell as people read it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.5g}"
    return str(value)
