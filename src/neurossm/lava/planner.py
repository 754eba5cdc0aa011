"""From the parts of a network to a plan: processes, their wires, and their depth in the pipeline.

Each process costs about 0.15 ms per step in Lava, whatever it computes. So everything that lies
between matrix products, and hangs together, is one process. A matrix product delays by a step; a
path around it waits in a register of the process that joins it with the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from neurossm.errors import InputError, LimitError
from neurossm.lava.parts import MESSAGE_BITS, Parts, is_matrix
from neurossm.lava.plan import Outlet, Plan, Stage, Wire
from neurossm.lava.stepping import Member
from neurossm.lava.unit import Inlet, outlets_of, recordable, unit_of
from neurossm.naming import part_of


def make_plan(parts: Parts, output: str | None = None) -> Plan:
    """Group members into processes and find each one's depth in the pipeline.

    With `output`, a tensor, the network ends with it instead of a decoder.

    Raises
    ------
    LimitError
        A message is wider than Lava's.
    InputError
        There is no such tensor, or a Dense makes it, whose sums must not leave the network.
    """
    planner = _PlanBuilder(parts if output is None else parts.up_to(output), output)
    stages = [*planner.matrices(), *planner.neurons()]
    # Of one depth, neurons come first: a matrix reads what they send in the same step.
    stages.sort(key=lambda stage: (stage.depth, stage.kind == "Dense"))
    if output is None:
        return Plan((planner.player(), *stages, planner.readout()), parts.tag)
    return Plan((planner.player(), *stages), parts.tag, planner.outlet(output))


class _PlanBuilder:
    def __init__(self, parts: Parts, output: str | None = None) -> None:
        self.parts = parts
        self.output = output
        self.depth = {parts.source.name: 0}  # steps by which a tensor is late
        for item in parts.inner:
            behind = max(self.depth[name] for name in item.inputs)
            self.depth[item.name] = behind + is_matrix(item)
        self.stacks = self._stacks()
        self.units = self._units()
        self.wires: dict[str, Wire] = {parts.source.name: Wire(parts.source.name, "s_out")}
        self.bundles: dict[Wire, dict[str, int]] = {}
        for stack in self.stacks:
            wire = Wire(stack[0].name, "a_out")
            self.wires |= {item.name: wire for item in stack}
            self.bundles[wire] = {item.name: parts.channels[item.name] for item in stack}
        for members in self.units:
            ports = outlets_of(members, self._sent(members))
            self.wires |= {tensor: Wire(members[0].name, port) for port, tensor in ports.items()}

    def _stacks(self) -> list[list[Member]]:
        """Return the matrices of each Dense: those of one input, for neurons only, are one."""
        found: dict[tuple[str, ...], list[Member]] = {}
        for item in filter(is_matrix, self.parts.inner):
            alone = any(is_matrix(r) or r in self.parts.decoder for r in self._readers(item))
            key = (*item.inputs, item.name) if alone else item.inputs
            found.setdefault(key, []).append(item)
        return list(found.values())

    def _units(self) -> list[list[Member]]:
        """Return the members of each neuron process: of one depth, linked by what they read."""
        units: list[list[Member]] = []
        home: dict[str, list[Member]] = {}
        for item in self.parts.inner:
            if is_matrix(item):
                continue
            depth = self.depth[item.name]
            joined = [item]
            near = [
                home[name] for name in item.inputs if self.depth[name] == depth and name in home
            ]
            for members in {id(members): members for members in near}.values():
                joined = members + joined
                units.remove(members)
            units.append(joined)
            home |= {member.name: joined for member in joined}
        order = {item.name: number for number, item in enumerate(self.parts.inner)}
        return [sorted(members, key=lambda member: order[member.name]) for members in units]

    def _readers(self, item: Member) -> tuple[Member, ...]:
        return self.parts.readers[item.name]

    def _sent(self, members: Iterable[Member]) -> list[str]:
        """Return the tensors that others read, and that with which the network ends."""
        inside = {id(member) for member in members}
        return [
            member.name
            for member in members
            if member.name == self.output
            or any(id(reader) not in inside for reader in self._readers(member))
        ]

    def _outside(self, members: list[Member]) -> list[Inlet]:
        """Return the ports for what others make, one for each wire, delayed to this depth."""
        made = {member.name for member in members}
        depth = self.depth[members[0].name]
        inlets = {}
        for name in (name for member in members for name in member.inputs if name not in made):
            wire = self.wires[name]
            tensors = self.bundles.get(wire, {name: self.parts.channels[name]})
            inlets[wire] = Inlet(tensors, depth - self.depth[name])
        return list(inlets.values())

    def player(self) -> Stage:
        """Return the stage that plays the data."""
        source = self.parts.source
        recorded = {source.name: (self.parts.channels[source.name],)}
        return Stage("Player", source.name, (source,), {}, 0, recorded=recorded)

    def matrices(self) -> Iterator[Stage]:
        """Yield the Dense stages."""
        for stack in self.stacks:
            (tensor,) = stack[0].inputs
            wires = {"s_in": self._wire(tensor)}
            bits = self.parts.message_bits[tensor]
            name, depth = stack[0].name, self.depth[tensor]
            yield Stage("Dense", name, tuple(stack), wires, depth, message_bits=bits)

    def neurons(self) -> Iterator[Stage]:
        """Yield the stages of neurons."""
        for members in self.units:
            inlets = self._outside(members)
            yield self._neuron(members[0].name, members, inlets, self.depth[members[0].name])
        for stack in self.stacks:  # nobody else could record what only a matrix reads, or nobody
            for item in stack:
                if all(map(is_matrix, self._readers(item))):
                    inlet = Inlet(self.bundles[self.wires[item.name]])
                    name = part_of(item.name, "recorder")
                    yield self._neuron(name, [], [inlet], self.depth[item.name])

    def _neuron(self, name: str, members: list[Member], inlets: list[Inlet], depth: int) -> Stage:
        unit = unit_of(members, inlets, self._sent(members))
        wires = {port: self._wire(next(iter(i.tensors))) for port, i in unit.inlets.items()}
        return Stage(
            "Neuron", name, tuple(members), wires, depth, unit=unit, recorded=recordable(unit)
        )

    def readout(self) -> Stage:
        """Return the stage that decodes."""
        first = self.parts.decoder[0]
        (tensor,) = first.inputs
        return Stage(
            "Readout",
            first.name,
            self.parts.decoder,
            {"a_in": self._wire(tensor)},
            self.depth[tensor],
            recorded={tensor: (self.parts.channels[tensor],)},
        )

    def outlet(self, tensor: str) -> Outlet:
        """Return where the tensor leaves with which the network ends."""
        if any(is_matrix(item) and item.name == tensor for item in self.parts.inner):
            raise InputError(
                f"output: {tensor!r} is the sum of a Dense, which no width holds for sure; end "
                "with what reads it"
            )
        return Outlet(self._wire(tensor), self.depth[tensor])

    def _wire(self, tensor: str) -> Wire:
        wire = self.wires[tensor]
        bits = self.parts.message_bits[tensor]
        if bits > MESSAGE_BITS and wire not in self.bundles:  # a Dense's sums are proved to fit
            raise LimitError(
                f"{tensor}: {bits} bits, but Lava's messages have {MESSAGE_BITS}; "
                "give it fewer bits"
            )
        return wire
