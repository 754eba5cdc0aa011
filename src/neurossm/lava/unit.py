"""What one neuron process computes: its members, its ports and its variables. Needs no Lava."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import ascii_lowercase
from typing import NamedTuple

from neurossm.errors import InputError
from neurossm.graph.nodes import TYPE_NAMES, Node, TernaryNode
from neurossm.lava.constants import constants_of
from neurossm.lava.stepping import Array, Member, counted, initial_states
from neurossm.program.operation import Op

# fmt: off
TAKEN = frozenset((
    "Phase", "Response", "add_ports_for_polling", "advance", "advance_to_time_step", "begin",
    "compile", "create_runtime", "folded_view", "folded_view_inst_id", "id", "implements_process",
    "implements_protocol", "in_ports", "is_compiled", "is_sub_proc_of", "join", "load", "log",
    "lrn_guard", "model", "model_class", "model_id", "name", "on_var_update", "out_ports",
    "parent_proc", "pause", "phase", "post_guard", "pre_guard", "proc_params", "process_to_service",
    "procs", "propagate_folded_views", "py_ports", "ref_ports", "register_sub_procs",
    "required_resources", "reset", "run", "run_lrn", "run_post_mgmt", "run_pre_mgmt", "run_spk",
    "runtime", "saturations", "save", "schedule", "service_to_process", "start", "stop", "tags",
    "time_step", "trace", "traces", "unit", "validate_var_aliases", "var_id_to_var_map",
    "var_ports", "vars", "wait",
))
# fmt: on
"""Names that processes and models, Lava's and ours, have given to something else."""


@dataclass(frozen=True)
class Inlet:
    """An input port.

    Parameters
    ----------
    tensors
        What arrives on it, side by side: names and channels.
    delay
        Steps that it waits in a register, because the rest is late by so many.
    """

    tensors: Mapping[str, int]
    delay: int = 0

    @property
    def width(self) -> int:
        """Channels of all tensors together."""
        return sum(self.tensors.values())


class Place(NamedTuple):
    """A number of a member: which member, and the name of the field or state there."""

    member: int
    name: str


@dataclass(frozen=True, eq=False)
class Unit:
    """Operations or nodes that one process computes, in an order in which each follows its inputs.

    `inlets` and `outlets` (tensors) are by port; `channels` those of every tensor.
    """

    members: tuple[Member, ...]
    inlets: Mapping[str, Inlet]
    outlets: Mapping[str, str]
    channels: Mapping[str, int]
    tag: str = field(default="fixed_pt")

    @cached_property
    def variables(self) -> Mapping[str, Place]:
        """Places of the constants, by the name of the variable that holds them."""
        return self._named(constants_of)

    @cached_property
    def states(self) -> Mapping[str, Place]:
        """Places of the states, by the name of the variable that holds them."""
        return self._named(initial_states)

    @property
    def counters(self) -> tuple[str, ...]:
        """Names under which clipped integers are counted."""
        return tuple(name for member in self.members for name in counted(member))

    def message(self, tensor: str) -> tuple[int | None, bool]:
        """Return the bits of a tensor's messages, and whether they are spikes of 0 and 1."""
        (member,) = (one for one in self.members if one.name == tensor)
        if isinstance(member, Op):
            return member.message_bits, member.emits == "spikes" and member.message_bits == 1
        binary = member.emits == "spikes" and not isinstance(member, TernaryNode)
        return (None if member.emits == "graded" else 1 if binary else 2), binary

    def initial(self, place: Place) -> Array:
        """Return the number at a place, before anything runs."""
        member = self.members[place.member]
        values = constants_of(member)
        return values[place.name] if place.name in values else initial_states(member)[place.name]

    def variable(self, member: str, name: str) -> str:
        """Return the variable that holds a field or a state of a member; InputError if none."""
        for variable, place in {**self.variables, **self.states}.items():
            if self.members[place.member].name == member and place.name == name:
                return variable
        raise InputError(f"{member}: has no field or state {name!r}")

    def _named(self, numbers: Callable[[Member], Mapping[str, Array]]) -> dict[str, Place]:
        places = [Place(i, name) for i, m in enumerate(self.members) for name in numbers(m)]
        return {self._names[place]: place for place in places}

    @cached_property
    def _names(self) -> Mapping[Place, str]:
        """A name that is free and occurs once is a variable's; others get their member's role."""
        places = [
            Place(index, name)
            for index, member in enumerate(self.members)
            for name in (*constants_of(member), *initial_states(member))
        ]
        often = Counter(place.name for place in places)
        roles = _roles(self.members)
        return {
            place: place.name
            if often[place.name] == 1 and place.name not in TAKEN
            else f"{roles[place.member]}_{place.name}"
            for place in places
        }


def _roles(members: tuple[Member, ...]) -> list[str]:
    """Return the type of each member, numbered from 1 where there are several."""
    names = [TYPE_NAMES.get(type(member), type(member).__name__) for member in members]
    kinds = [name.lower() for name in names]
    often, seen, roles = Counter(kinds), Counter[str](), []
    for kind in kinds:
        seen[kind] += 1
        roles.append(kind if often[kind] == 1 else f"{kind}{seen[kind]}")
    return roles


def unit_of(
    members: Member | Iterable[Member],
    inlets: Iterable[Inlet] | None = None,
    sends: Iterable[str] | None = None,
    channels: int | None = None,
) -> Unit:
    """Complete what was given; see `Neuron`."""
    chosen = (members,) if isinstance(members, Op | Node) else tuple(members)
    tag = "fixed_pt" if all(isinstance(member, Op) for member in chosen) else "floating_pt"
    made = {member.name for member in chosen}
    if inlets is None:
        read = dict.fromkeys(name for m in chosen for name in m.inputs if name not in made)
        inlets = [Inlet({name: _channels_of(chosen, name, channels)}) for name in read]
    ports = {f"{_letter(number)}_in": inlet for number, inlet in enumerate(inlets)}
    sizes = {name: size for inlet in ports.values() for name, size in inlet.tensors.items()}
    for member in chosen:
        missing = [name for name in member.inputs if name not in sizes]
        if missing:
            raise InputError(f"{member.name}: reads {missing[0]!r}, which nothing before it makes")
        if isinstance(member, Op):
            sizes[member.name] = member.out.channels
        else:
            sizes[member.name] = member.channels(*(sizes[name] for name in member.inputs))
    return Unit(chosen, ports, outlets_of(chosen, sends), sizes, tag)


def _channels_of(members: tuple[Member, ...], tensor: str, channels: int | None) -> int:
    """Return the channels of a tensor from outside."""
    for member in members:
        if isinstance(member, Op) and tensor in member.inputs:
            return member.input_channels()[member.inputs.index(tensor)] or member.out.channels
    if channels is None:
        raise InputError(f"{tensor}: its channels are unknown; give `channels`, or `inlets`")
    return channels


def outlets_of(members: Iterable[Member], sends: Iterable[str] | None) -> dict[str, str]:
    """Name a port for each tensor that is sent; by default the last graded one and last spikes.

    As with Lava's own processes the port is `s_out`. Where graded tensors leave beside spikes, it
    is that of the spikes, and graded ones leave on `y_out`; more of a kind on `s2_out`, `y2_out`.
    """
    spiking = {member.name: member.emits == "spikes" for member in members}
    if sends is None:
        last = {spikes: name for name, spikes in spiking.items()}
        sends = [name for name in spiking if name in last.values()]
    chosen = tuple(sends)
    for name in chosen:
        if name not in spiking:
            raise InputError(f"sends: {name!r} is none of {sorted(spiking)}")
    both = len({spiking[name] for name in chosen}) > 1
    ports: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for name in chosen:
        letter = "y" if both and not spiking[name] else "s"
        seen[letter] += 1
        ports[f"{letter}{seen[letter] if seen[letter] > 1 else ''}_out"] = name
    return ports


def _letter(number: int) -> str:
    letter = ascii_lowercase[number % 26]
    return letter if number < 26 else f"{letter}{number // 26}"


def recordable(unit: Unit) -> dict[str, tuple[int, ...]]:
    """Return the shapes, at one step, of all tensors and states that pass through a unit."""
    found: dict[str, tuple[int, ...]] = {n: (size,) for n, size in unit.channels.items()}
    for member in unit.members:
        if isinstance(member, Op):
            found |= {member.state_name(s): member.state_shape(s) for s in member.states}
    return found
