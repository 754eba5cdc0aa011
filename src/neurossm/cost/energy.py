"""Counts times prices: energy per sample, by part, with the range that the sources leave open.

Two kinds of prices exist. Those of neuromorphic chips are per event:

- synapses: every effective AC or MAC, and every value that arrives without a weight, is a synaptic
  operation;
- neurons: an update of a neuron or of one complex mode (two state variables, like the neuron that
  the price was estimated for) is a neuron update. The sources do not define "active": at the low
  end only updates of neurons that send are active, at the high end all are;
- messages: each message costs a spike's energy at every core it goes to, at the high end with the
  hops to it (cores in a square per chip, one tile each; the true grouping is not published).

Those of a process are per operation: additions and multiplications of 32-bit integers (of 8 bits
at the low end for products with a weight), and accesses to a cache for weights, parameters and
states. A part whose price is unknown is left out of the total and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurossm.cost.count import UnitCounts, by_channels
from neurossm.cost.counts import Counts
from neurossm.cost.dense_model import DenseModel
from neurossm.cost.traffic import traffic
from neurossm.errors import UnsupportedError
from neurossm.hw_profiles import (
    ArithmeticEnergy,
    EnergyPj,
    EventEnergy,
    Profile,
    load_profile,
)
from neurossm.hw_profiles.profile import WORD_BITS
from neurossm.place.groups import NeuronGroup
from neurossm.place.placement import Placement

FLOAT_BITS = 32


@dataclass(frozen=True)
class Energy:
    """Energy per sample.

    Parameters
    ----------
    hw
        Name of the profile.
    parts
        By part, in pJ.
    unpriced
        Parts the profile has no price for.
    label
        What goes with every number: which prices, if they are not the target's own.
    is_proxy
        Whether the prices are another chip's.
    static_power_mw
        Drawn at all times, None if unknown; not in the parts.
    sources
        Of the prices.
    """

    hw: str
    parts: Mapping[str, EnergyPj]
    unpriced: tuple[str, ...]
    label: str
    is_proxy: bool
    static_power_mw: float | None
    sources: tuple[str, ...]

    @property
    def total(self) -> EnergyPj:
        """All priced parts."""
        return EnergyPj.total(self.parts.values())


@dataclass(frozen=True)
class Consumption:
    """What is priced: counts over all samples, by group, and where the groups are."""

    samples: int
    groups: tuple[NeuronGroup, ...]
    counts: Mapping[str, Counts]
    deliveries: int
    hops: int

    @property
    def total(self) -> Counts:
        """All groups together."""
        return Counts.sum(self.counts.values())


def consumption(
    units: UnitCounts,
    groups: Sequence[NeuronGroup],
    placement: Placement | None,
    samples: int,
    cores_per_chip: int,
) -> Consumption:
    """Gather what prices need; without a placement every message goes to one core."""
    counts = {group.name: by_channels(units, group, slice(None)) for group in groups}
    deliveries = sum(part.messages for part in counts.values())
    hops = 0
    if placement is not None:
        deliveries, hops = traffic(units, placement, cores_per_chip)
    return Consumption(samples, tuple(groups), counts, deliveries, hops)


def estimate(profile: Profile, spent: Consumption) -> Energy:
    """Price what a program did with a profile, or with the one it names as its proxy.

    Raises
    ------
    UnsupportedError
        The profile cannot price a state-space program, or has no prices.
    """
    profile.check_priced()
    priced = load_profile(profile.proxy.energy_of) if profile.proxy is not None else profile
    if priced.event_energy is not None:
        parts = _events(priced.event_energy, spent)
        tables = ("event_energy",)
    elif priced.arithmetic_energy is not None:
        parts = _arithmetic(priced.arithmetic_energy, spent)
        tables = ("arithmetic_energy",)
    else:
        raise UnsupportedError(f"target {profile.name!r} has no energies to profile with")
    return _energy(profile, priced, parts, tables)


def estimate_dense(profile: Profile, model: DenseModel) -> Energy | None:
    """Price the dense float model; None where the profile has no float prices."""
    prices = profile.arithmetic_energy
    if prices is None:
        return None
    mac = _sum(prices.multiply_fp32_energy_pj, prices.add_fp32_energy_pj)
    word = prices.memory_64bit_energy_pj
    operands = FLOAT_BITS / WORD_BITS  # one weight per MAC; activations stay in registers
    parts = {
        "linear": _times(mac, model.linear_macs),
        "state": _times(mac, model.state_macs),
        "elementwise": _times(mac, model.elementwise_macs),
        "memory": _times(word, model.total_macs * operands),
    }
    return _energy(profile, profile, parts, ("arithmetic_energy",))


def _energy(
    profile: Profile,
    priced: Profile,
    parts: Mapping[str, EnergyPj | None],
    tables: tuple[str, ...],
) -> Energy:
    return Energy(
        hw=profile.name,
        parts={name: part for name, part in parts.items() if part is not None},
        unpriced=tuple(name for name, part in parts.items() if part is None),
        label=profile.proxy.label if profile.proxy is not None else priced.title,
        is_proxy=profile.proxy is not None,
        static_power_mw=None if profile.power is None else profile.power.static_power_mw,
        sources=priced.sources(*tables),
    )


def _events(prices: EventEnergy, spent: Consumption) -> dict[str, EnergyPj | None]:
    total, per = spent.total, 1 / spent.samples
    messages = _times(prices.spike_energy_pj, spent.deliveries * per)
    if messages is not None and prices.hop_energy_pj is not None:
        far = messages.high + prices.hop_energy_pj.high * spent.hops * per
        messages = EnergyPj(messages.low, far, messages.is_minimum)
    synops = total.synaptic_operations + total.unweighted_synops
    plain = [group for group in spent.groups if not group.modes]
    modal = [group for group in spent.groups if group.modes]
    return {
        "synapses": _times(prices.synop_energy_pj, synops * per),
        "state updates": _updates(prices, spent, modal),
        "neuron updates": _updates(prices, spent, plain),
        "messages": messages,
    }


def _updates(
    prices: EventEnergy, spent: Consumption, groups: Sequence[NeuronGroup]
) -> EnergyPj | None:
    """Price updates: of every mode of an SSM neuron, of other neurons once."""
    active, idle = prices.neuron_update_active_energy_pj, prices.neuron_update_idle_energy_pj
    if active is None or idle is None:
        return None
    sizes = [group.mean_modes if group.modes else 1 for group in groups]
    weighted = [(spent.counts[g.name], size) for g, size in zip(groups, sizes, strict=True)]
    sending = sum(counts.neuron_updates_active * size for counts, size in weighted)
    silent = sum(counts.neuron_updates_idle * size for counts, size in weighted)
    low = active.times(sending / spent.samples) + idle.times(silent / spent.samples)
    high = active.times((sending + silent) / spent.samples)
    return EnergyPj(min(low.low, high.low), max(low.high, high.high), high.is_minimum)


def _arithmetic(prices: ArithmeticEnergy, spent: Consumption) -> dict[str, EnergyPj | None]:
    total, per = spent.total, 1 / spent.samples
    add, multiply = prices.add_int32_energy_pj, prices.multiply_int32_energy_pj
    narrow, word = prices.multiply_int8_energy_pj, prices.memory_64bit_energy_pj
    product = EnergyPj(narrow.low, multiply.high) if narrow and multiply else multiply
    adds = total.synaptic_operations + total.unweighted_synops
    return {
        "synapses": _sum(_times(add, adds * per), _times(product, total.Effective_MACs * per)),
        "state updates": _sum(
            _times(add, total.state_adds * per), _times(multiply, total.state_multiplies * per)
        ),
        "elementwise": _sum(
            _times(add, total.elementwise_adds * per),
            _times(multiply, total.elementwise_multiplies * per),
        ),
        "memory": _times(word, _memory_words(spent) * per),
    }


def _memory_words(spent: Consumption) -> float:
    """Return the 64-bit words moved.

    A byte per weight used; at every update of a neuron its parameters, and its state twice.
    """
    bits = 8.0 * spent.total.synaptic_operations
    for group in spent.groups:
        counts = spent.counts[group.name]
        updates = counts.neuron_updates_active + counts.neuron_updates_idle
        states = group.state_bytes - group.absent_state_bytes
        parameters = group.parameter_bytes - group.absent_parameter_bytes
        bits += 8 * updates * (2 * states + parameters)
    return bits / WORD_BITS


def _times(price: EnergyPj | None, count: float) -> EnergyPj | None:
    return None if price is None else price.times(count)


def _sum(*parts: EnergyPj | None) -> EnergyPj | None:
    known = [part for part in parts if part is not None]
    return None if len(known) < len(parts) else EnergyPj.total(known)
