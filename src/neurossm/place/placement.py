"""Assign neurons, states, parameters, synapses and axons to the cores of a target.

`groups` says what a neuron is and how many bytes it has, `plan` how many cores each
group of neurons gets: the fewest chips that hold the network, and on them the split that keeps the
busiest core's work per step smallest. A target that works in turn has all of them on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeVar

from neurossm.errors import LimitError, UnsupportedError
from neurossm.hw_profiles import Limits, Profile
from neurossm.place.bytes import Variant, signed_bits
from neurossm.place.groups import NeuronGroup, neuron_groups
from neurossm.place.neurons import sent_tensors
from neurossm.place.plan import (
    Demand,
    DoesNotFitError,
    cores_per_group,
    fan_outs,
    fewest_cores,
    most_neurons,
)
from neurossm.program import Op, Program
from neurossm.refusals import Refusals

Result = TypeVar("Result")


@dataclass(frozen=True)
class Core:
    """One core and what it holds: neurons `first` to `first + neurons - 1` of a group.

    Parameters
    ----------
    chip, core
        Numbers from 0; `core` counts within its chip.
    group
        Name of the neuron group.
    first, neurons
        The channels.
    state_bytes, parameter_bytes, synapse_bytes
        Memory; tables that the neurons share are among the parameters.
    axons_in
        Sources that send to this core.
    axons_out
        Pairs of a neuron of this core and a core it sends to.
    operations_per_step
        Multiplications and additions, with the share of spikes that `SPIKE_RATE` assumes.
    binding_limit
        The limit that is used most, and `load`, the share of it (0 to 1).
    """

    chip: int
    core: int
    group: str
    first: int
    neurons: int
    state_bytes: int
    parameter_bytes: int
    synapse_bytes: int
    axons_in: int
    axons_out: int
    operations_per_step: int
    binding_limit: str
    load: float

    @property
    def channels(self) -> slice:
        """The channels of the group's operations that live here."""
        return slice(self.first, self.first + self.neurons)


@dataclass(frozen=True)
class Placement:
    """A network on cores.

    Parameters
    ----------
    target
        Name of the hardware profile.
    groups
        The neuron groups.
    cores
        In the order of the groups; one for each group, all the same, on a target that works in
        turn.
    least_cores
        Cores that would do if a step might take as long as it likes.
    """

    target: str
    groups: tuple[NeuronGroup, ...]
    cores: tuple[Core, ...]
    least_cores: int

    @property
    def cores_used(self) -> int:
        """Number of cores."""
        return len({(core.chip, core.core) for core in self.cores})

    @property
    def chips_used(self) -> int:
        """Number of chips."""
        return self.cores[-1].chip + 1

    @property
    def busiest_core(self) -> int:
        """Index of the core with the most operations per step."""
        return max(range(len(self.cores)), key=lambda i: self.cores[i].operations_per_step)

    @property
    def imbalance(self) -> float:
        """Operations per step of the busiest core over those of the mean core; at least 1."""
        if self.cores_used == 1:
            return 1.0
        operations = [core.operations_per_step for core in self.cores]
        total = sum(operations)
        return max(operations) * len(operations) / total if total else 1.0

    @property
    def binding_limit(self) -> str:
        """The limit that comes nearest to being reached anywhere."""
        return max(self.cores, key=lambda core: core.load).binding_limit

    def cores_of(self, group: str) -> tuple[Core, ...]:
        """Return the cores of a group, by channel."""
        return tuple(core for core in self.cores if core.group == group)


def place(program: Program, profile: Profile, refusals: Refusals | None = None) -> Placement:
    """Place a program on the cores of a target.

    Parameters
    ----------
    program
        The integer program.
    profile
        The target.
    refusals
        Gathers what is refused, by message, operation and group of neurons; the first is raised in
        the end all the same.

    Raises
    ------
    UnsupportedError
        The target cannot run programs, or not one of the operations.
    LimitError
        The network does not fit: the message says what is over and by how much, and what would
        fit.
    """
    limits = profile.compile_limits()
    refusals = Refusals() if refusals is None else refusals
    _check_widths(program, limits, profile.name, refusals)
    for op in program.ops:
        refusals.attempt(op.name, partial(_check_maximum, op, profile))
    groups = neuron_groups(program, limits.accumulator_bits)
    if profile.support.in_turn:
        placed = _in_turn(groups, limits, profile.name, refusals)
        refusals.stop()
        return placed
    alone = fan_outs(groups, {group.name: 1 for group in groups})
    for group in groups:
        single = partial(most_neurons, group, alone[group.name], limits, profile.name)
        refusals.attempt(group.name, partial(_advised, program, limits, single))
    refusals.stop()
    cores = _advised(program, limits, partial(cores_per_group, groups, limits, profile.name))
    fan_out = fan_outs(groups, cores)
    loads = [
        _core(index, group, first, neurons, fan_out[group.name], limits)
        for index, (group, first, neurons) in enumerate(_split(groups, cores))
    ]
    least = sum(fewest_cores(groups, cores, limits).values())
    return Placement(profile.name, groups, tuple(loads), least)


def _advised(program: Program, limits: Limits, work: Callable[[], Result]) -> Result:
    """Return what work returns; what it finds not to fit is refused with what would fit."""
    try:
        return work()
    except DoesNotFitError as error:
        ways_out = alternatives(program, limits)
        if error.chips is not None:
            ways_out.insert(0, f"{error.chips} chips (chips_per_system of a profile of your own)")
        advice = ", or ".join(ways_out) or "only a smaller model (fewer channels)"
        raise LimitError(f"{error}; would fit: {advice}") from None


def _check_maximum(op: Op, profile: Profile) -> None:
    if op.channel_maximum and not profile.support.channel_maximum:
        raise UnsupportedError(
            f"{op.name}: compares with the largest of all channels, which target "
            f"{profile.name!r} does not know ([support] channel_maximum); compile for it with "
            "--calibration DATA.npz"
        )


def _in_turn(
    groups: Sequence[NeuronGroup], limits: Limits, target: str, refusals: Refusals
) -> Placement:
    """Return all groups on the one core that works through them."""
    fan_out = fan_outs(groups, {group.name: 1 for group in groups})
    demands = [Demand.of(group, group.neurons, fan_out[group.name]) for group in groups]
    needs = {
        "core_memory_bytes": sum(demand.core_memory_bytes for demand in demands),
        "synapse_memory_bytes": sum(demand.synapse_memory_bytes for demand in demands),
        "state_memory_bytes": sum(group.neurons * group.state_bytes for group in groups),
    }
    for limit, needed in needs.items():
        most = getattr(limits, limit)
        refusals.attempt(limit, partial(_check_memory, limit, needed, most, target))
    cores = (_core(0, g, 0, g.neurons, fan_out[g.name], limits) for g in groups)
    return Placement(target, tuple(groups), tuple(cores), 1)


def _check_memory(limit: str, needed: int, most: int | None, target: str) -> None:
    if most is not None and needed > most:
        raise LimitError(
            f"the network needs {limit} = {needed}, {needed - most} more than the {most} of "
            f"target {target!r}; would help: fewer channels or modes, narrower weights, or a "
            "profile of more memory"
        )


def _split(
    groups: Sequence[NeuronGroup], cores: dict[str, int]
) -> Iterator[tuple[NeuronGroup, int, int]]:
    """Yield (group, first channel, channels) of every core; shares differ by one at most."""
    for group in groups:
        number = cores[group.name]
        ends = [group.neurons * part // number for part in range(number + 1)]
        for first, end in pairwise(ends):
            yield group, first, end - first


def _core(
    index: int, group: NeuronGroup, first: int, neurons: int, fan_out: int, limits: Limits
) -> Core:
    demand = Demand.of(group, neurons, fan_out)
    load = demand.load(limits)
    binding = max(load, key=lambda limit: load[limit])
    return Core(
        chip=index // limits.cores_per_chip,
        core=index % limits.cores_per_chip,
        group=group.name,
        first=first,
        neurons=neurons,
        state_bytes=neurons * group.state_bytes,
        parameter_bytes=neurons * group.parameter_bytes + group.shared_bytes,
        synapse_bytes=neurons * group.synapse_bytes,
        axons_in=demand.axons_in_per_core,
        axons_out=demand.axons_out_per_core,
        operations_per_step=neurons * group.operations,
        binding_limit=binding,
        load=load[binding],
    )


def _check_widths(program: Program, limits: Limits, target: str, refusals: Refusals) -> None:
    sent = sent_tensors(program) - {program.input.name}
    for op in program.ops:
        if op.name in sent:
            refusals.attempt(op.name, partial(_check_message, op, limits, target))
        if op.sums:
            refusals.attempt(op.name, partial(_check_weights, op, limits, target))


def _check_message(op: Op, limits: Limits, target: str) -> None:
    if (bits := op.message_bits) > limits.message_bits:
        raise LimitError(
            f"{op.name}: messages of {bits} bits, {bits - limits.message_bits} more than target "
            f"{target!r} sends ({limits.message_bits}); compile with a narrower residual"
        )


def _check_weights(op: Op, limits: Limits, target: str) -> None:
    if (bits := signed_bits(op.synapses)) > limits.weight_bits:
        raise LimitError(
            f"{op.name}: weights of {bits} bits, target {target!r} has "
            f"{limits.weight_bits}; compile with narrower weights"
        )


def alternatives(program: Program, limits: Limits) -> list[str]:
    """Return the changes, one at a time, with which the program would fit."""

    def fits(variant: Variant) -> bool:
        try:
            cores_per_group(neuron_groups(program, limits.accumulator_bits, variant), limits, "")
        except DoesNotFitError:
            return False
        return True

    states = [op.width_of(state) for op in program.ops for state in op.states]
    widest = max(states, default=0)
    found = [f"states of {b} bits" for b in (16, 8) if b < widest and fits(Variant(b))][:1]
    most = max(op.modes for op in program.ops)
    modes = _largest(most, lambda n: fits(Variant(modes=n)))
    if modes is not None:
        found.append(f"{modes} modes per channel")
    weights = [op.synapses for op in program.ops if op.sums]
    widest = max((signed_bits(weight) for weight in weights), default=0)
    width = _largest(widest, lambda bits: fits(Variant(weight_bits=bits)))
    if width is not None and width >= 2:
        found.append(f"weights of {width} bits")
    return found


def _largest(below: int, fits: Callable[[int], bool]) -> int | None:
    """Return the largest number from 1 to `below - 1` that fits, if any; fewer fit better."""
    low, high = 0, below - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low if low > 0 and fits(low) else None
