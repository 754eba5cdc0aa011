"""From primitives to processes: which primitives one process computes, and what it is wired to.

Processes are few because each costs about 0.15 ms per step in Lava, whatever it computes. Two
patterns are matched, around every SSM and around every product of a value and a gate::

    [Rescale] Modes Threshold                                     SSM
    Weights x2, Rescale x2, gate function, Product, Sum [Rescale]  one Dense of 2H rows, then GLU

Everything else becomes a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurossm.errors import LimitError, UnsupportedError
from neurossm.lava.parameters import (
    Decoder,
    Logistic,
    Modes,
    Product,
    Rescale,
    Segments,
    Sum,
)
from neurossm.lava.plan import LOGITS, Plan, Stage, Wire
from neurossm.lava.primitives import Primitive, Primitives, Rows, Source, Threshold, Weights

__all__ = ["make_plan"]

MESSAGE_BITS = 32
_SENT = (Source, Rows, Rescale, Modes, Sum)
"""What makes graded messages. Dense's are proved to fit; a spike is one bit."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Primitives of one process: what its ports read and send, and how its tensors are called."""

    kind: str
    name: str
    members: tuple[Primitive, ...]
    settings: dict[str, Any]
    reads: dict[str, str]
    sends: dict[str, str]
    roles: dict[str, str] = field(default_factory=dict)
    counted: dict[str, str] = field(default_factory=dict)


def make_plan(net: Primitives, tag: str) -> Plan:
    """Group primitives into processes and find each one's depth in the pipeline.

    Raises
    ------
    UnsupportedError
        A primitive is in no pattern the processes know, or a residual path cannot be aligned.
    """
    groups = _grouped(net)
    wires = {tensor: Wire(g.name, port) for g in groups for tensor, port in g.sends.items()}
    depth: dict[str, int] = {}  # of each wire
    stages = []
    for group in groups:
        inputs = {port: _wire(net, wires, group, tensor) for port, tensor in group.reads.items()}
        late = _depth(group, {port: depth[wire.stage] for port, wire in inputs.items()})
        depth[group.name] = late + (group.kind == "Dense")  # Dense sends what it got a step ago
        stages.append(_stage(net, group, inputs, late))
    return Plan(tuple(stages), tag)


def _grouped(net: Primitives) -> list[_Group]:
    groups: list[_Group] = []
    for item in net.items:
        if isinstance(item.unit, Modes):
            groups.append(_neuron(net, item))
        elif isinstance(item.unit, Product):
            groups += _gated_unit(net, item)
    taken = {member.name for group in groups for member in group.members}
    groups += [_single(item) for item in net.items if item.name not in taken]
    position = {item.name: index for index, item in enumerate(net.items)}
    return sorted(groups, key=lambda group: max(position[m.name] for m in group.members))


def _neuron(net: Primitives, modes: Primitive) -> _Group:
    """[Rescale] Modes Threshold."""
    spike = net.sole_reader(modes.name, Threshold)
    if spike is None:
        raise UnsupportedError(f"{modes.name}: Lava's SSM process needs one Spike behind it")
    members = [modes, spike]
    settings = {"modes": modes.unit, "threshold": spike.unit.threshold}  # type: ignore[union-attr]
    roles = {modes.name: "y", spike.name: "s"}
    roles |= {f"{modes.name}.{part}": part for part in ("state_re", "state_im")}
    counted = {"state": f"{modes.name}.state", "y": modes.name}
    rescale = net.maker(modes.inputs[0], Rescale)
    if rescale is not None and len(net.readers(rescale.name)) == 1:
        members.insert(0, rescale)
        settings["rescale"] = rescale.unit
        roles[rescale.name] = "u"
        counted["u"] = rescale.name
    first = members[0].inputs[0]
    roles[first] = "a"
    reads = {"a_in": first}
    sends = {modes.name: "y_out", spike.name: "s_out"}
    return _Group("SSM", modes.name, tuple(members), settings, reads, sends, roles, counted)


def _gated_unit(net: Primitives, product: Primitive) -> list[_Group]:
    """Weights and Rescale for value and gate, the gate's function, Product, Sum [Rescale]."""
    value, gate_function = (net[name] for name in product.inputs)
    if isinstance(value.unit, (Segments, Logistic)):
        value, gate_function = gate_function, value
    chain = _gate_chain(net, value, gate_function)
    total = net.sole_reader(product.name, Sum)
    if chain is None or total is None:
        raise UnsupportedError(
            f"{product.name}: not a gated linear unit with a residual, the only product Lava's "
            "processes know; run the program on another engine"
        )
    gate, value_weights, gate_weights = chain
    members = [value, gate, gate_function, product, total]
    settings = {
        "value": value.unit,
        "gate": gate.unit,
        "sigmoid": gate_function.unit,
        "product": product.unit,
        "total": total.unit,
    }
    norm = net.sole_reader(total.name, Rescale)
    if norm is not None and net.sole_reader(norm.name, Modes) is None:  # that one is the neuron's
        members.append(norm)
        settings["norm"] = norm.unit
    (residual,) = set(total.inputs) - {product.name} or {product.name}
    mixing = f"{value_weights.name}+{gate_weights.name}"
    roles = dict(zip((m.name for m in members), _GLU_ROLES, strict=False))
    counted = {role: tensor for tensor, role in roles.items()}
    roles |= {value_weights.name: "value_in", gate_weights.name: "gate_in"}
    unit = _Group(
        kind="GLU",
        name=product.name,
        members=tuple(members),
        settings=settings,
        reads={"a_in": mixing, "x_in": residual},
        sends={members[-1].name: "y_out"},
        roles=roles,
        counted=counted,
    )
    return [_stacked(mixing, value_weights, gate_weights), unit]


_GLU_ROLES = ("value", "gate", "sigmoid", "product", "sum", "y")


def _gate_chain(
    net: Primitives, value: Primitive, gate_function: Primitive
) -> tuple[Primitive, Primitive, Primitive] | None:
    """Return the gate's Rescale and both Weights, if all is read here only and reads one tensor."""
    if not isinstance(gate_function.unit, (Segments, Logistic)):
        return None
    gate = net.maker(gate_function.inputs[0], Rescale)
    if gate is None or not isinstance(value.unit, Rescale):
        return None
    value_weights = net.maker(value.inputs[0], Weights)
    gate_weights = net.maker(gate.inputs[0], Weights)
    if value_weights is None or gate_weights is None or value_weights.inputs != gate_weights.inputs:
        return None
    inner = (value, gate, gate_function, value_weights, gate_weights)
    if any(len(net.readers(item.name)) != 1 for item in inner):
        return None
    return gate, value_weights, gate_weights


def _stacked(name: str, value: Primitive, gate: Primitive) -> _Group:
    """One Dense for both matrices: value rows first."""
    assert isinstance(value.unit, Weights)
    assert isinstance(gate.unit, Weights)
    weight = np.concatenate([value.unit.weight, gate.unit.weight])
    unit = Weights(weight, value.unit.message_bits)
    return _Group(
        kind="Dense",
        name=name,
        members=(value, gate),
        settings={"weights": unit},
        reads={"s_in": value.inputs[0]},
        sends={name: "a_out"},
    )


def _single(item: Primitive) -> _Group:
    name, unit = item.name, item.unit
    settings: dict[str, Any]
    first = item.inputs[0] if item.inputs else ""
    if isinstance(unit, Source):
        return _Group(
            "Player", name, (item,), {"bits": unit.bits}, {}, {name: "s_out"}, {name: "s"}
        )
    if isinstance(unit, Rows):
        settings = {"weight": unit.weight}
        reads = {"token_in": first}
        return _Group("Embedding", name, (item,), settings, reads, {name: "y_out"}, {name: "y"})
    if isinstance(unit, Weights):
        return _Group("Dense", name, (item,), {"weights": unit}, {"s_in": first}, {name: "a_out"})
    if isinstance(unit, Rescale):
        return _Group(
            kind="Affine",
            name=name,
            members=(item,),
            settings={"rescale": unit},
            reads={"a_in": first},
            sends={name: "y_out"},
            roles={name: "y", first: "a"},
            counted={"y": name},
        )
    if isinstance(unit, Decoder):
        settings = {"decoder": unit}
        counted = {"logits": name}
        return _Group("Readout", name, (item,), settings, {"x_in": first}, {}, {}, counted)
    raise UnsupportedError(
        f"{name}: {type(unit).__name__} is in no pattern that Lava's processes know; "
        "run the program on another engine"
    )


def _wire(net: Primitives, wires: dict[str, Wire], group: _Group, tensor: str) -> Wire:
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


def _depth(group: _Group, depths: dict[str, int]) -> int:
    """Return by how many steps the group's input is late; a GLU's residual waits one step."""
    if group.kind == "GLU" and depths["x_in"] != depths["a_in"] - 1:
        raise UnsupportedError(
            f"{group.name}: its residual is {depths['a_in'] - depths['x_in']} steps ahead of the "
            "mixing; only one step can be bridged"
        )
    return max(depths.values(), default=0)


def _stage(net: Primitives, group: _Group, inputs: dict[str, Wire], depth: int) -> Stage:
    shapes = {}
    for tensor in group.roles:
        owner, state, _ = tensor.rpartition(".state_")
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
