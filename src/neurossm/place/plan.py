"""How many cores each group of neurons gets.

A core runs the program of one group. First, the limits say how many neurons of a group a core can
hold at most, hence the least number of cores and of chips. Then all cores of these chips are used
to make a step short: the step lasts as long as the busiest core works, so the smallest load `T` is
sought for which `sum_g ceil(neurons_g / min(most_g, floor(T / operations_g)))` cores suffice. Among
the loads up to `SLACK` times that one, the load is taken whose cores idle least (`T` times the
number of cores): a little slack can save many cores. Each group gets the fewest cores that keep its
load at or below it, and its neurons are spread over them evenly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurossm.errors import LimitError
from neurossm.hw_profiles import Limits
from neurossm.place.groups import NeuronGroup

SLACK = 1.15
"""How much longer than the shortest possible a step may be for the sake of busier cores."""
_ROUNDS = 64
"""How often the numbers of cores are revised for the sake of outgoing axons."""


class DoesNotFitError(LimitError):
    """The network does not fit; `chips` would do, if more chips are all it takes."""

    def __init__(self, message: str, chips: int | None = None) -> None:
        super().__init__(message)
        self.chips = chips


@dataclass(frozen=True)
class Demand:
    """What one core would have to offer for so many neurons of a group, by name of the limit."""

    neurons_per_core: int
    neuron_state_bytes: int
    synapse_memory_bytes: int
    core_memory_bytes: int
    axons_in_per_core: int
    axons_out_per_core: int

    @staticmethod
    def of(group: NeuronGroup, neurons: int, fan_out: int) -> Demand:
        """Return the demand of `neurons` neurons that send to `fan_out` cores each."""
        dense = sum(source.channels for source in group.sources if source.dense)
        paired = sum(not source.dense for source in group.sources)
        return Demand(
            neurons_per_core=neurons,
            neuron_state_bytes=group.state_bytes + group.parameter_bytes,
            synapse_memory_bytes=neurons * group.synapse_bytes,
            core_memory_bytes=neurons * group.bytes_per_neuron + group.shared_bytes,
            axons_in_per_core=dense + neurons * paired,
            axons_out_per_core=neurons * fan_out,
        )

    def load(self, limits: Limits) -> dict[str, float]:
        """Return the share of each known limit that is taken; over 1 is too much."""
        return {
            name: value / limit
            for name, value in vars(self).items()
            if (limit := getattr(limits, name)) is not None
        }

    def fits(self, limits: Limits) -> bool:
        """Tell whether a core can offer this."""
        return all(share <= 1 for share in self.load(limits).values())


def cores_per_group(groups: Sequence[NeuronGroup], limits: Limits, target: str) -> dict[str, int]:
    """Return the number of cores of each group.

    Raises
    ------
    DoesNotFitError
        A neuron is too large for a core, or the chips have too few cores.
    """
    cores = {group.name: 1 for group in groups}
    for _ in range(_ROUNDS):
        fan_out = fan_outs(groups, cores)
        most = {g.name: most_neurons(g, fan_out[g.name], limits, target) for g in groups}
        planned = _balanced(groups, most, limits, target)
        if planned == cores or limits.axons_out_per_core is None:
            return planned
        # Where outgoing axons are scarce, the cores of the readers decide those of the senders;
        # taking the larger number of both rounds makes the revision end.
        cores = {name: max(planned[name], cores[name]) for name in planned}
        fan_out = fan_outs(groups, cores)
        if all(_fits(g, cores[g.name], fan_out[g.name], limits) for g in groups):
            _check_chips(sum(cores.values()), limits, target)
            return cores
    raise DoesNotFitError(f"target {target!r}: no split over cores keeps axons_out_per_core")


def fewest_cores(
    groups: Sequence[NeuronGroup], cores: Mapping[str, int], limits: Limits
) -> dict[str, int]:
    """Return the cores each group would need if only the limits mattered, not the load.

    `cores` decides the outgoing axons.
    """
    fan_out = fan_outs(groups, cores)
    most = {g.name: most_neurons(g, fan_out[g.name], limits, "") for g in groups}
    return {g.name: -(-g.neurons // most[g.name]) for g in groups}


def fan_outs(groups: Sequence[NeuronGroup], cores: Mapping[str, int]) -> dict[str, int]:
    """Return to how many cores one neuron of each group sends."""
    return {
        group.name: sum(
            cores[reader.name] if source.dense else 1
            for reader in groups
            for source in reader.sources
            if source.unit in group.sends
        )
        for group in groups
    }


def _fits(group: NeuronGroup, cores: int, fan_out: int, limits: Limits) -> bool:
    return Demand.of(group, -(-group.neurons // cores), fan_out).fits(limits)


def most_neurons(group: NeuronGroup, fan_out: int, limits: Limits, target: str) -> int:
    """Return how many neurons of a group one core can hold, by bisection.

    Raises
    ------
    DoesNotFitError
        Not one.
    """
    single = Demand.of(group, 1, fan_out)
    if not single.fits(limits):
        raise DoesNotFitError(_too_large(group, single, limits, target))
    low, high = 1, group.neurons
    while low < high:
        middle = (low + high + 1) // 2
        if Demand.of(group, middle, fan_out).fits(limits):
            low = middle
        else:
            high = middle - 1
    return low


def _too_large(group: NeuronGroup, single: Demand, limits: Limits, target: str) -> str:
    share = single.load(limits)
    name = max(share, key=lambda limit: share[limit])
    need, limit = getattr(single, name), getattr(limits, name)
    size = f" ({group.modes} modes)" if group.modes else ""
    return (
        f"{group.name}: one neuron{size} needs {name} = {need}, {need - limit} more than the "
        f"{limit} of target {target!r}"
    )


def _balanced(
    groups: Sequence[NeuronGroup], most: Mapping[str, int], limits: Limits, target: str
) -> dict[str, int]:
    least = {g.name: -(-g.neurons // most[g.name]) for g in groups}
    chips = _check_chips(sum(least.values()), limits, target)
    available = chips * limits.cores_per_chip
    loads = sorted(
        {n * g.operations for g in groups for n in range(1, min(most[g.name], g.neurons) + 1)}
    )
    low, high = 0, len(loads) - 1  # the largest load always suffices: every core is full then
    while low < high:
        middle = (low + high) // 2
        planned = _at_load(groups, most, loads[middle])
        if planned is not None and sum(planned.values()) <= available:
            high = middle
        else:
            low = middle + 1
    near = [load for load in loads[low:] if load <= SLACK * loads[low]]
    plans = [(load, plan) for load in near if (plan := _at_load(groups, most, load)) is not None]
    return min(plans, key=lambda entry: entry[0] * sum(entry[1].values()))[1]


def _at_load(
    groups: Sequence[NeuronGroup], most: Mapping[str, int], load: int
) -> dict[str, int] | None:
    """Return the fewest cores that keep every core's operations per step within a load."""
    cores = {}
    for group in groups:
        per_core = most[group.name]
        if group.operations:
            per_core = min(per_core, load // group.operations)
        if per_core == 0:
            return None
        cores[group.name] = -(-group.neurons // per_core)
    return cores


def _check_chips(cores: int, limits: Limits, target: str) -> int:
    """Return the chips that so many cores need."""
    chips = -(-cores // limits.cores_per_chip)
    available = limits.chips_per_system * limits.cores_per_chip
    if chips > limits.chips_per_system:
        raise DoesNotFitError(
            f"the network needs {cores} cores, {cores - available} more than target {target!r} "
            f"has ({limits.chips_per_system} chips of {limits.cores_per_chip})",
            chips,
        )
    return chips
