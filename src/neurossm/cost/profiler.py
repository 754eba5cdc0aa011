"""Profile a program on data: run it, count, place, price."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from neurossm.cost.activity import Activity, observe
from neurossm.cost.count import UnitCounts, by_channels, by_layer, count
from neurossm.cost.counts import Counts
from neurossm.cost.dense_model import DenseModel, dense_model
from neurossm.cost.energy import Energy, consumption, estimate, estimate_dense
from neurossm.datafile import Data, samples_of
from neurossm.errors import InputError
from neurossm.hw_profiles import EnergyPj, Profile, known_profiles, load_profile, profile_of
from neurossm.place.groups import neuron_groups
from neurossm.place.placement import Core, Placement, place
from neurossm.program import Program, as_program
from neurossm.progress import Progress
from neurossm.registry import DEFAULT_ENGINE

FLOAT_BASELINE = "cmos45"
"""The profile that prices the dense float model."""
_DEFAULT_MESSAGE_BITS = 32


@dataclass(frozen=True)
class CoreLoad:
    """A core and what its neurons did: `counts` over all samples, operations in the mean step."""

    core: Core
    counts: Counts
    operations_per_step: float


@dataclass(frozen=True)
class CostProfile:
    """What a program costs on some samples.

    Parameters
    ----------
    hw
        Name of the hardware profile.
    samples, steps
        How many samples, of how many steps; on average, where they differ.
    totals
        Counts over all samples.
    layers
        The same by layer.
    cores
        The same by core; empty where the hardware has no cores to place on.
    placement
        The network on cores; None where there are none.
    input_messages
        Values that came from outside and were not zero, over all samples.
    rates
        For each tensor that neurons send, and the input: the share of its integers not zero.
    energy
        Per sample, with the prices of `hw`.
    others
        The same counts with the prices of other profiles.
    float_model
        Operations per sample of the dense float model.
    float_energy
        Its energy per sample in 45 nm.
    """

    hw: str
    samples: int
    steps: float
    totals: Counts
    layers: Mapping[str, Counts]
    cores: tuple[CoreLoad, ...]
    placement: Placement | None
    input_messages: int
    rates: Mapping[str, float]
    energy: Energy
    others: tuple[Energy, ...]
    float_model: DenseModel
    float_energy: Energy | None

    @property
    def busiest_core(self) -> int | None:
        """Index of the core with the most operations."""
        if not self.cores:
            return None
        return max(range(len(self.cores)), key=lambda i: self.cores[i].operations_per_step)

    @property
    def imbalance(self) -> float | None:
        """Operations of the busiest core over those of the mean core."""
        if self.placement is not None and self.placement.cores_used == 1:
            return 1.0
        operations = [core.counts.operations for core in self.cores]
        if not operations or not any(operations):
            return None
        return max(operations) * len(operations) / sum(operations)

    def to_json(self) -> dict[str, Any]:
        """Return the results under the keys that `neurossm profile --json` writes."""
        return {
            "hw": self.hw,
            "samples": self.samples,
            "steps": self.steps,
            "totals": asdict(self.totals),
            "counts": self.totals.mean(self.samples),
            "layers": [self._layer(name, counts) for name, counts in self.layers.items()],
            "input_messages": self.input_messages,
            "rates": dict(self.rates),
            **_energy_json(self.energy),
            "comparison": [{"hw": other.hw, **_energy_json(other)} for other in self.others],
            "float_model": {**asdict(self.float_model), "total_macs": self.float_model.total_macs},
            "float_energy": None
            if self.float_energy is None
            else {"hw": self.float_energy.hw, **_energy_json(self.float_energy)},
            "cores": [_core_json(core) for core in self.cores],
            "busiest_core": self.busiest_core,
            "imbalance": self.imbalance,
            "cores_used": None if self.placement is None else self.placement.cores_used,
            "least_cores": None if self.placement is None else self.placement.least_cores,
            "chips_used": None if self.placement is None else self.placement.chips_used,
        }

    def _layer(self, name: str, counts: Counts) -> dict[str, Any]:
        exact = asdict(counts)
        return {"name": name, **exact, "totals": exact, "counts": counts.mean(self.samples)}


def profile(
    program: Program | str | Path,
    data: ArrayLike | Data | str | Path,
    hw: str | os.PathLike[str] | Profile | None = None,
    limit: int | None = None,
    engine: str = DEFAULT_ENGINE,
    progress: Progress | None = None,
    lengths: ArrayLike | None = None,
) -> CostProfile:
    """Count what a program does on real samples, and estimate its energy.

    Parameters
    ----------
    program
        The program or its file.
    data
        (B, L, size) or (B, L) samples: an array, a PyTorch tensor or nested lists; or a `DATA.npz`.
    hw
        Name or file of a hardware profile, or one already read; by default the one that the program
        was compiled for.
    limit
        Only the first so many samples.
    engine
        What runs the program; the counts do not depend on it.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    lengths
        (B) valid steps of each sample, all that are counted; by default those of the file, or L.

    Raises
    ------
    InputError
        Data that do not suit the program, an unknown target, a limit out of range.
    UnsupportedError
        The target cannot be profiled, with the reason.
    LimitError
        The program does not fit the target.
    """
    program = as_program(program)
    classes = program.readout.out.channels
    samples = samples_of(
        program.input,
        classes,
        data,
        limit=limit,
        lengths=lengths,
        each=program.readout.streams,
    )
    chosen = profile_of(program) if hw is None else load_profile(hw)
    chosen.check_priced()
    home = _place_on(chosen, program)
    placement = None if home is None else place(program, home)
    activity = observe(program, samples.x, engine, progress, samples.lengths)
    return assemble(program, activity, chosen, home, placement)


def assemble(
    program: Program,
    activity: Activity,
    chosen: Profile,
    home: Profile | None,
    placement: Placement | None,
) -> CostProfile:
    """Count and price what was observed; `home` is the profile the program is placed on."""
    limits = None if home is None else home.compile_limits()
    groups = (
        neuron_groups(program, _DEFAULT_MESSAGE_BITS) if placement is None else placement.groups
    )
    widest = _DEFAULT_MESSAGE_BITS if limits is None else limits.message_bits
    units = count(program, groups, activity, widest)
    cores_per_chip = 1 if limits is None else limits.cores_per_chip
    spent = consumption(units, groups, placement, activity.samples, cores_per_chip)
    layers = by_layer(units, program)
    dense = dense_model(program.graph, activity.steps)
    return CostProfile(
        hw=chosen.name,
        samples=activity.samples,
        steps=activity.steps,
        totals=Counts.sum(layers.values()),
        layers=layers,
        cores=() if placement is None else _core_loads(units, placement, activity),
        placement=placement,
        input_messages=int(activity.nonzero[program.input.name].sum()),
        rates={name: activity.rate(name) for name in sorted(activity.nonzero)},
        energy=estimate(chosen, spent),
        others=tuple(estimate(other, spent) for other in _others(chosen)),
        float_model=dense,
        float_energy=estimate_dense(load_profile(FLOAT_BASELINE), dense),
    )


def _place_on(chosen: Profile, program: Program) -> Profile | None:
    """Return the profile whose cores count: the chosen one, or else the program's own target."""
    if chosen.support.compile:
        return chosen
    try:
        home = profile_of(program)
    except InputError:  # a profile of the user's own that is not named here
        return None
    return home if home.support.compile else None


def _others(chosen: Profile) -> list[Profile]:
    """Return the profiles with prices of their own, to stand beside the chosen one's."""
    own = {chosen.name, chosen.proxy.energy_of if chosen.proxy is not None else chosen.name}
    profiles = [load_profile(name) for name in known_profiles() if name not in own]
    return [p for p in profiles if p.support.profile and p.proxy is None]


def _core_loads(
    units: UnitCounts, placement: Placement, activity: Activity
) -> tuple[CoreLoad, ...]:
    groups = {group.name: group for group in placement.groups}
    steps = activity.total_steps
    loads = []
    for core in placement.cores:
        counts = by_channels(units, groups[core.group], core.channels)
        loads.append(CoreLoad(core, counts, counts.operations / steps))
    return tuple(loads)


def _core_json(load: CoreLoad) -> dict[str, Any]:
    return {
        **asdict(load.core),
        "operations_per_step": load.operations_per_step,
        "expected_operations_per_step": load.core.operations_per_step,
        "totals": asdict(load.counts),
    }


def _energy_json(energy: Energy) -> dict[str, Any]:
    """Return the low ends under `energy_pj`, the high ends under `energy_pj_high`."""

    def ends(end: str) -> dict[str, Any]:
        parts = {name: getattr(part, end) for name, part in energy.parts.items()}
        return {"total": getattr(energy.total, end), "parts": parts}

    return {
        "energy_pj": ends("low"),
        "energy_pj_high": ends("high"),
        "is_minimum": energy.total.is_minimum,
        "unpriced": energy.unpriced,
        "label": energy.label,
        "is_proxy": energy.is_proxy,
        "static_power_mw": energy.static_power_mw,
        "sources": energy.sources,
    }


__all__ = ["CoreLoad", "CostProfile", "EnergyPj", "assemble", "profile"]
