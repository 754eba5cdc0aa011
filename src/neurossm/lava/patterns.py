"""Patterns of primitives that one process computes.

Processes are few because each costs about 0.15 ms per step in Lava, whatever it computes. Four
patterns are matched, around every SSM and around every product; what is in brackets may be absent::

    [Rescale] Modes Threshold                                       SSM
    [Rescale] Modes [Rescale] Ternary                               TernarySSM
    Weights x2, Rescale x2, gate function, Product, Sum [norm]      one Dense of 2H rows, then GLU
    [Rescale] x2, Product [norm] [function] Sum [norm]              GSU, behind two Dense

Everything else becomes a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurossm.errors import UnsupportedError
from neurossm.lava.parameters import (
    GELU,
    Decoder,
    DynamicTernary,
    Logistic,
    Modes,
    Normalise,
    Product,
    Rescale,
    Segments,
    Sum,
    Ternary,
)
from neurossm.lava.primitives import Primitive, Primitives, Rows, Source, Threshold, Weights

__all__ = ["Group", "find_groups"]

_FUNCTIONS = (Segments, Logistic, GELU)
_NORMS = (Rescale, Normalise)


@dataclass(frozen=True, eq=False)
class Group:
    """Primitives of one process: what its ports read and send, and how its tensors are called."""

    kind: str
    name: str
    members: tuple[Primitive, ...]
    settings: dict[str, Any]
    reads: dict[str, str]
    sends: dict[str, str]
    roles: dict[str, str] = field(default_factory=dict)
    counted: dict[str, str] = field(default_factory=dict)


class _Parts:
    """The primitives of a process under construction, by their roles in it."""

    def __init__(self) -> None:
        self.members: list[Primitive] = []
        self.settings: dict[str, Any] = {}
        self.roles: dict[str, str] = {}
        self.counted: dict[str, str] = {}

    def add(self, part: Primitive, setting: str, role: str) -> None:
        """Add a primitive: the argument that takes it, and its role in traces and counts."""
        self.members.append(part)
        self.settings[setting] = part.unit
        self.roles[part.name] = role
        self.counted[role] = part.name


def find_groups(net: Primitives) -> list[Group]:
    """Return the processes of a network, in no particular order.

    Raises
    ------
    UnsupportedError
        A primitive is in no pattern.
    """
    groups: list[Group] = []
    for item in net.items:
        if isinstance(item.unit, Modes):
            groups.append(_neuron(net, item))
        elif isinstance(item.unit, Product):
            groups += _unit(net, item)
    taken = {member.name for group in groups for member in group.members}
    return groups + [_single(item) for item in net.items if item.name not in taken]


def _neuron(net: Primitives, modes: Primitive) -> Group:
    """[Rescale] Modes, and what makes spikes of them."""
    parts = _Parts()
    first = modes.inputs[0]
    rescale = net.maker(first, Rescale)
    if rescale is not None and len(net.readers(rescale.name)) == 1:
        parts.add(rescale, "rescale", "u")
        first = rescale.inputs[0]
    parts.add(modes, "modes", "y")
    parts.counted["state"] = f"{modes.name}:state"
    parts.roles |= {f"{modes.name}:{part}": part for part in ("state_re", "state_im")}
    graded, spike = _spike(net, modes)
    if graded is not None:
        parts.add(graded, "graded", "graded")
    if isinstance(spike.unit, Threshold):
        parts.settings["threshold"] = spike.unit.threshold
    else:
        parts.settings["ternary"] = spike.unit
    return Group(
        kind="SSM" if isinstance(spike.unit, Threshold) else "TernarySSM",
        name=modes.name,
        members=(*parts.members, spike),
        settings=parts.settings,
        reads={"a_in": first},
        sends={parts.members[-1].name: "y_out", spike.name: "s_out"},
        roles={**parts.roles, spike.name: "s", first: "a"},
        counted=parts.counted,
    )


def _spike(net: Primitives, modes: Primitive) -> tuple[Primitive | None, Primitive]:
    """Return what makes spikes of an SSM's output, and the Rescale before it, if there is one."""
    binary = net.sole_reader(modes.name, Threshold)
    if binary is not None:
        return None, binary
    graded = net.sole_reader(modes.name, Rescale)
    readers = net.readers(modes.name if graded is None else graded.name)
    ternary = [item for item in readers if isinstance(item.unit, (Ternary, DynamicTernary))]
    if len(ternary) != 1:
        raise UnsupportedError(
            f"{modes.name}: Lava's SSM processes need one Spike or one Ternary behind it"
        )
    return graded, ternary[0]


def _unit(net: Primitives, product: Primitive) -> list[Group]:
    """Return the processes around a product of two branches."""
    sides = [net[name] for name in product.inputs]
    gated = any(isinstance(side.unit, _FUNCTIONS) for side in sides)
    groups = _gated_linear(net, product) if gated else _gated_spiking(net, product)
    if groups is None:
        raise UnsupportedError(
            f"{product.name}: neither a gated linear unit nor a gated spiking unit with a residual "
            "around it, the only products Lava's processes know; run it on another engine"
        )
    return groups


def _gated_linear(net: Primitives, product: Primitive) -> list[Group] | None:
    """Weights and Rescale for value and gate, the gate's function, Product, Sum [norm]."""
    value, function = (net[name] for name in product.inputs)
    if isinstance(value.unit, _FUNCTIONS):
        value, function = function, value
    gate = net.maker(function.inputs[0], Rescale) if function.inputs else None
    total = net.sole_reader(product.name, Sum)
    if gate is None or total is None or not isinstance(value.unit, Rescale):
        return None
    matrices = [net.maker(part.inputs[0], Weights) for part in (value, gate)]
    value_weights, gate_weights = matrices
    if value_weights is None or gate_weights is None or value_weights.inputs != gate_weights.inputs:
        return None
    if any(len(net.readers(m.name)) != 1 for m in (value, gate, function, *matrices) if m):
        return None
    mixing = _stacked(value_weights, gate_weights)
    parts = _Parts()
    parts.add(value, "value", "value")
    parts.add(gate, "gate", "gate")
    parts.add(function, "sigmoid", "sigmoid")
    parts.add(product, "product", "product")
    received = {value_weights.name: "value_in", gate_weights.name: "gate_in"}
    reads = {"a_in": mixing.name}
    return [mixing, _with_residual(net, "GLU", parts, product, total, reads, received)]


def _gated_spiking(net: Primitives, product: Primitive) -> list[Group] | None:
    """[Rescale] twice, each behind Weights; Product [norm] [function] Sum [norm]."""
    parts = _Parts()
    reads: dict[str, str] = {}
    received: dict[str, str] = {}
    for role, source in zip(("first", "second"), product.inputs, strict=True):
        rescale = net.maker(source, Rescale)
        if rescale is not None and len(net.readers(source)) == 1:
            parts.add(rescale, role, role)
            (source,) = rescale.inputs
        if net.maker(source, Weights) is None:
            return None
        reads[f"{role}_in"] = source
        received[source] = f"{role}_in"
    last = product
    parts.add(product, "product", "product")
    for kinds, role in ((_NORMS, "gate_norm"), (_FUNCTIONS, "activation")):
        behind = net.sole_reader(last.name, *kinds)
        if behind is not None:
            parts.add(behind, role, role)
            last = behind
    total = net.sole_reader(last.name, Sum)
    if total is None:
        return None
    return [_with_residual(net, "GSU", parts, last, total, reads, received)]


def _with_residual(
    net: Primitives,
    kind: str,
    parts: _Parts,
    last: Primitive,
    total: Primitive,
    reads: dict[str, str],
    received: dict[str, str],
) -> Group:
    """Complete a unit whose result `last` is added to the residual: Sum [norm]."""
    (product,) = [item for item in parts.members if isinstance(item.unit, Product)]
    (residual,) = set(total.inputs) - {last.name} or {last.name}
    parts.add(total, "total", "sum")
    end = total
    norm = net.sole_reader(total.name, *_NORMS)
    if norm is not None and net.sole_reader(norm.name, Modes) is None:  # that one is the neuron's
        parts.add(norm, "norm", "y")
        end = norm
    return Group(
        kind=kind,
        name=product.name,
        members=tuple(parts.members),
        settings=parts.settings,
        reads={**reads, "x_in": residual},
        sends={end.name: "y_out"},
        roles={**parts.roles, **received},
        counted=parts.counted,
    )


def _stacked(value: Primitive, gate: Primitive) -> Group:
    """One Dense for both matrices: value rows first."""
    assert isinstance(value.unit, Weights)
    assert isinstance(gate.unit, Weights)
    weight = np.concatenate([value.unit.weight, gate.unit.weight])
    unit = Weights(weight, value.unit.message_bits)
    name = f"{value.name}+{gate.name}"
    reads, sends = {"s_in": value.inputs[0]}, {name: "a_out"}
    return Group("Dense", name, (value, gate), {"weights": unit}, reads, sends)


def _single(item: Primitive) -> Group:
    """A process for one primitive."""
    name, unit, first = item.name, item.unit, item.inputs[0] if item.inputs else ""
    if isinstance(unit, Source):
        return Group("Player", name, (item,), {"bits": unit.bits}, {}, {name: "s_out"}, {name: "s"})
    if isinstance(unit, Rows):
        settings: dict[str, Any] = {"weight": unit.weight}
        reads = {"token_in": first}
        return Group("Embedding", name, (item,), settings, reads, {name: "y_out"}, {name: "y"})
    if isinstance(unit, Weights):
        return Group("Dense", name, (item,), {"weights": unit}, {"s_in": first}, {name: "a_out"})
    if isinstance(unit, _NORMS):
        kind, setting = ("Affine", "rescale") if isinstance(unit, Rescale) else _LAYER_NORM
        roles, counted = {name: "y", first: "a"}, {"y": name}
        reads, sends = {"a_in": first}, {name: "y_out"}
        return Group(kind, name, (item,), {setting: unit}, reads, sends, roles, counted)
    if isinstance(unit, Decoder):
        settings, counted = {"decoder": unit}, {"logits": name}
        return Group("Readout", name, (item,), settings, {"x_in": first}, {}, {}, counted)
    raise UnsupportedError(
        f"{name}: {type(unit).__name__} is in no pattern that Lava's processes know; "
        "run it on another engine"
    )


_LAYER_NORM = ("LayerNorm", "normalise")
