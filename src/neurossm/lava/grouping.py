"""From primitives to a plan: processes in order, their wires, and their depth in the pipeline."""

from __future__ import annotations

from neurossm.errors import LimitError, UnsupportedError
from neurossm.lava.parameters import Modes, Normalise, Rescale, Sum
from neurossm.lava.patterns import Group, find_groups
from neurossm.lava.plan import LOGITS, Plan, Stage, Wire
from neurossm.lava.primitives import Primitives, Rows, Source

__all__ = ["make_plan"]

MESSAGE_BITS = 32
_SENT = (Source, Rows, Rescale, Normalise, Modes, Sum)
"""What makes graded messages. Dense's are proved to fit; a spike is one bit or two."""


def make_plan(net: Primitives, tag: str) -> Plan:
    """Group primitives into processes and find each one's depth in the pipeline.

    Raises
    ------
    UnsupportedError
        A primitive is in no pattern the processes know, or a residual path cannot be aligned.
    LimitError
        A message is wider than Lava's.
    """
    groups = _ordered(net, find_groups(net))
    wires = {tensor: Wire(g.name, port) for g in groups for tensor, port in g.sends.items()}
    depth: dict[str, int] = {}  # of each wire
    stages = []
    for group in groups:
        inputs = {port: _wire(net, wires, group, tensor) for port, tensor in group.reads.items()}
        late = _depth(group, {port: depth[wire.stage] for port, wire in inputs.items()})
        depth[group.name] = late + (group.kind == "Dense")  # Dense sends what it got a step ago
        stages.append(_stage(net, group, inputs, late))
    return Plan(tuple(stages), tag)


def _ordered(net: Primitives, groups: list[Group]) -> list[Group]:
    """Return groups so that each comes after those it reads, else in the order of the primitives.

    None waits for itself in a circle: nobody outside a group reads what its members pass on.
    """
    position = {item.name: index for index, item in enumerate(net.items)}
    waiting = sorted(groups, key=lambda group: max(position[m.name] for m in group.members))
    pending = {tensor for group in groups for tensor in group.sends}
    ordered: list[Group] = []
    while waiting:
        ready = next(g for g in waiting if pending.isdisjoint(g.reads.values()))
        ordered.append(ready)
        waiting.remove(ready)
        pending.difference_update(ready.sends)
    return ordered


def _wire(net: Primitives, wires: dict[str, Wire], group: Group, tensor: str) -> Wire:
    if tensor not in wires:
        raise UnsupportedError(
            f"{group.name}: reads {tensor!r}, which stays inside another process of the network"
        )
    maker = net.maker(tensor, *_SENT)
    if maker is not None and maker.bits > MESSAGE_BITS:
        raise LimitError(
            f"{tensor}: {maker.bits} bits, but Lava's messages have {MESSAGE_BITS}; "
            "give it fewer bits"
        )
    return wires[tensor]


def _depth(group: Group, depths: dict[str, int]) -> int:
    """Return by how many steps the group's input is late; a unit's residual waits one step."""
    mixed = {port: steps for port, steps in depths.items() if (group.kind, port) not in _RESIDUAL}
    late = max(mixed.values(), default=0)
    for port, steps in mixed.items():
        if steps != late:
            raise UnsupportedError(
                f"{group.name}: {group.reads[port]} is {late - steps} steps ahead of the rest of "
                "its input; only a residual can be delayed"
            )
    if len(mixed) < len(depths) and depths["x_in"] != late - 1:
        raise UnsupportedError(
            f"{group.name}: its residual is {late - depths['x_in']} steps ahead of the "
            "mixing; only one step can be bridged"
        )
    return late


_RESIDUAL = (("GLU", "x_in"), ("GSU", "x_in"))


def _stage(net: Primitives, group: Group, inputs: dict[str, Wire], depth: int) -> Stage:
    shapes = {}
    for tensor in group.roles:
        owner, state, _ = tensor.rpartition(":state_")
        unit = net[owner].unit if state else None
        shapes[tensor] = unit.shape if isinstance(unit, Modes) else (net[tensor].channels,)
    if group.kind == "Readout":
        shapes[LOGITS] = (group.members[0].channels,)
    return Stage(
        kind=group.kind,
        name=group.name,
        settings=group.settings,
        inputs=inputs,
        depth=depth,
        roles=group.roles,
        shapes=shapes,
        counted=group.counted,
    )
