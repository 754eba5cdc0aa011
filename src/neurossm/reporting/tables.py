"""The tables of a report: plain rows, shown sortable and offered as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurossm.cost.counts import KEYS
from neurossm.cost.energy import Energy
from neurossm.reporting.evidence import Evidence


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
    rows: Sequence[Sequence[object]]
    note: str = ""

    @staticmethod
    def of(key: str, title: str, rows: Sequence[Mapping[str, object]], note: str = "") -> PageTable:
        """Return a table of rows that give each value under its heading."""
        columns = tuple(rows[0]) if rows else ()
        return PageTable(key, title, columns, [tuple(row.values()) for row in rows], note)


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
        {"check": check.name, "value": check.value, "limit": check.limit, "ok": check.ok}
        for check in evidence.verification.checks
    ]
    return PageTable.of("checks", "Checks", rows)


def _accuracies(evidence: Evidence) -> PageTable:
    found = evidence.verification
    rows = [
        {
            "rung": rung,
            "accuracy": share.value,
            "low (95 %)": share.low,
            "high (95 %)": share.high,
            "samples": found.samples,
        }
        for rung, share in found.accuracy_interval.items()
        if share is not None
    ]
    return PageTable.of("accuracies", "Accuracy", rows)


def _layers(evidence: Evidence) -> PageTable:
    found = evidence.verification
    upper = "trained" if found.highest_rung == "float" else "approximated"
    steps = {f"{upper} to integers": found.layers}
    if found.float_approximated is not None and found.approximated_fixed is not None:
        steps["trained to approximated"] = found.float_approximated.layers
        steps["approximated to integers"] = found.approximated_fixed.layers
    rows = [
        {
            "rungs": step,
            "layer": layer.name,
            "spikes equal": layer.spike_agreement,
            "spikes that differ": layer.spikes_flipped,
            "firing rate": layer.firing_rate,
            "pre-threshold SNR (dB)": layer.pre_threshold_snr_db,
            "residual SNR (dB)": layer.residual_snr_db,
            "state SNR (dB)": None if layer.states is None else layer.states.state_snr_db,
            "first difference (step)": layer.divergence.first_divergence_step,
            "median first difference (step)": layer.divergence.median_divergence_step,
        }
        for step, layers in steps.items()
        for layer in layers
    ]
    note = "" if rows else "No layer spikes: predictions alone are compared."
    return PageTable.of("layers", "Agreement by layer", rows, note)


def _engines(evidence: Evidence) -> PageTable:
    rows = [
        {
            "engine": pair.a,
            "other engine": pair.b,
            "integers compared": pair.compared,
            "that differ": pair.mismatches,
        }
        for pair in evidence.verification.engines
    ]
    return PageTable.of("engines", "Engine against engine", rows)


def _states(evidence: Evidence) -> PageTable:
    rows = [
        {
            "layer": states.layer,
            "state bits": states.bits,
            "largest seen": states.peak,
            "largest bound": states.bound,
            "capacity": states.capacity,
            "capacity used": states.peak / states.capacity,
            "share of zeros": states.zero_share,
            "proved": states.proved,
        }
        for states in evidence.states
    ]
    return PageTable.of("states", "States", rows, "Of the first sample.")


def _operations(evidence: Evidence) -> PageTable:
    cost = evidence.cost
    rows: list[Sequence[object]] = [
        (name, *counts.mean(cost.samples).values()) for name, counts in cost.layers.items()
    ]
    rows.append(("total", *cost.totals.mean(cost.samples).values()))
    columns = ("layer", *(key.replace("_", " ") for key in KEYS))
    note = (
        f"Means per sample of {cost.steps:g} steps over {cost.samples} samples. Effective ACs, "
        "Effective MACs and Dense follow NeuroBench's rules; it does not see the others."
    )
    return PageTable("operations", "Operations per sample", columns, rows, note)


def _energies(evidence: Evidence) -> PageTable:
    cost = evidence.cost
    rows: list[Sequence[object]] = []
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


def _energy_rows(name: str, energy: Energy) -> Iterator[Sequence[object]]:
    for part, value in {**energy.parts, "total": energy.total}.items():
        yield name, energy.hw, part, value.low, value.high, value.is_minimum, energy.label
    for part in energy.unpriced:
        yield name, energy.hw, part, None, None, None, "price unknown"


def _cores(evidence: Evidence) -> PageTable:
    rows = [
        {
            "chip": load.core.chip,
            "core": load.core.core,
            "neurons of": load.core.group,
            "neurons": load.core.neurons,
            "state bytes": load.core.state_bytes,
            "parameter bytes": load.core.parameter_bytes,
            "synapse bytes": load.core.synapse_bytes,
            "axons in": load.core.axons_in,
            "axons out": load.core.axons_out,
            "operations per step": load.operations_per_step,
            "nearest limit": load.core.binding_limit,
            "share of it": load.core.load,
        }
        for load in evidence.cost.cores
    ]
    return PageTable.of("core-loads", "Cores", rows)


def _approximations(evidence: Evidence) -> PageTable:
    rows = [(a.name, a.description, a.max_error) for a in evidence.program.approximations]
    columns = ("name", "what it replaces", "largest error")
    return PageTable("approximations", "Approximations", columns, rows)


def _tensors(evidence: Evidence) -> PageTable:
    rows = [
        {
            "tensor": op.name,
            "operation": type(op).__name__,
            "channels": op.out.channels,
            "bits": op.out.bits,
            "least exponent": int(op.out.exponent.min()),
            "largest exponent": int(op.out.exponent.max()),
            "bound": int(op.out.interval.largest().max()),
            "proved": op.out.proved,
        }
        for op in evidence.program.ops
    ]
    return PageTable.of("tensors", "Tensors of the program", rows)


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
