"""`neurossm profile`: count operations, estimate energy, show the load of cores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.options import data_option, engine_option, file_argument, limit_option
from neurossm.cli.output import Output, json_option, open_output

if TYPE_CHECKING:
    from neurossm.cost import CostProfile, Energy
    from neurossm.hw_profiles import EnergyPj


_SHOWN = {
    "Effective_ACs": "ACs",
    "Effective_MACs": "MACs",
    "Dense": "dense",
    "state_updates": "state updates",
    "state_multiplies": "state x",
    "state_adds": "state +",
    "elementwise_multiplies": "other x",
    "elementwise_adds": "other +",
    "spikes": "spikes",
    "messages": "messages",
}


@click.command("profile")
@file_argument("program")
@data_option("x (and lengths)")
@click.option("--hw", help="A target of `neurossm targets`, or FILE.toml. [default: PROGRAM's]")
@limit_option()
@engine_option()
@json_option
def command(
    program: Path,
    data: Path,
    hw: str | None,
    limit: int | None,
    engine: str,
    json_path: str | None,
) -> None:
    """Count what PROGRAM does on data and estimate its energy.

    Synaptic operations are counted as NeuroBench does; state updates, norms, gates and tables are
    listed beside them. Energies are estimates from published prices per operation.
    """
    with open_output(json_path) as output:
        from neurossm.cost import profile
        from neurossm.datafile import load_data
        from neurossm.program import Program

        loaded = Program.load(program)
        samples = load_data(data).limited(limit)
        with output.progress() as progress:
            result = profile(loaded, samples, hw=hw, engine=engine, progress=progress)
        _show_counts(output, result)
        _show_energy(output, result)
        _show_cores(output, result)
        output.json(result.to_json())


def _show_counts(output: Output, result: CostProfile) -> None:
    rows = []
    for name, counts in (*result.layers.items(), ("total", result.totals)):
        mean = counts.mean(result.samples)
        rows.append([name, *(f"{mean[key]:,.0f}" for key in _SHOWN)])
    title = f"Operations per sample ({result.samples} samples of {result.steps:g} steps)"
    output.table(title, ["layer", *_SHOWN.values()], rows)
    output.line(_verdict(result))


def _verdict(result: CostProfile) -> str:
    """Say what the spikes save and what the states cost."""
    counts = result.totals
    samples = result.samples
    synaptic = counts.synaptic_operations / samples
    states = (counts.state_multiplies + counts.state_adds) / samples
    saved = counts.Dense / samples - synaptic
    return (
        f"Spikes leave {synaptic:,.0f} of {counts.Dense / samples:,.0f} synaptic operations "
        f"({saved:,.0f} saved); the states take {states:,.0f} operations, "
        f"{states / synaptic if synaptic else float('inf'):.3g} times as many as the synapses. "
        f"The dense float model takes {result.float_model.total_macs:,.0f} multiply-accumulates."
    )


def _show_energy(output: Output, result: CostProfile) -> None:
    rows = []
    for energy in (result.energy, *result.others):
        rows += [
            [energy.hw, part, _range(value), energy.label] for part, value in energy.parts.items()
        ]
        rows += [[energy.hw, part, "unknown", energy.label] for part in energy.unpriced]
        rows.append([energy.hw, "total", _range(energy.total), energy.label])
    if result.float_energy is not None:
        total = result.float_energy.total
        rows.append(
            [result.float_energy.hw, "float model", _range(total), result.float_energy.label]
        )
    output.table("Energy per sample (estimate)", ["prices", "part", "energy", "what"], rows)
    power = result.energy.static_power_mw
    output.line(f"Static power of {result.hw}: {'unknown' if power is None else f'{power:g} mW'}")
    for source in _sources(result):
        output.line(f"Prices: {source}")


def _sources(result: CostProfile) -> tuple[str, ...]:
    energies: list[Energy] = [result.energy, *result.others]
    return tuple(dict.fromkeys(source for energy in energies for source in energy.sources))


def _range(energy: EnergyPj) -> str:
    low, high = energy.low / 1e6, energy.high / 1e6
    text = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return f"{'at least ' if energy.is_minimum else ''}{text} uJ"


def _show_cores(output: Output, result: CostProfile) -> None:
    if result.placement is None:
        return
    rows = []
    for group in result.placement.groups:
        loads = [load for load in result.cores if load.core.group == group.name]
        rows.append(
            [
                group.name,
                len(loads),
                group.neurons,
                max(load.core.state_bytes + load.core.parameter_bytes for load in loads),
                max(load.core.synapse_bytes for load in loads),
                max(load.core.axons_in for load in loads),
                max(load.core.axons_out for load in loads),
                max(load.operations_per_step for load in loads),
            ]
        )
    columns = [
        "neurons of",
        "cores",
        "neurons",
        "state and parameter bytes",
        "synapse bytes",
        "axons in",
        "axons out",
        "operations per step",
    ]
    output.table("Cores (largest of each group)", columns, rows)
    placement = result.placement
    if placement.cores_used == 1:
        output.line(f"One core of {placement.target} does all of it in turn.")
        return
    output.line(
        f"{placement.cores_used} cores on {placement.chips_used} chips of {placement.target} "
        f"({placement.least_cores} would hold it); the busiest core does "
        f"{result.imbalance or 1:.3g} times the mean"
    )
