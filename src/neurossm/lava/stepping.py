"""One step of one sample: what members of a process compute, whatever they are.

A member is an operation of an integer program or a node of a float graph. Both know their states
and how to step; an operation's instructions are compiled (see `kernels`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neurossm.derive.integers import parameters_of
from neurossm.graph.node import Node
from neurossm.lava.kernels import kernel, saturate
from neurossm.program.arithmetic import Tally, limits
from neurossm.program.operation import Op
from neurossm.program.operations import OP_TYPES

Member: TypeAlias = "Op | Node"
Array: TypeAlias = NDArray[Any]
States: TypeAlias = Mapping[str, Array]


class MemberStep(Protocol):
    """Computes a step of a member."""

    def __call__(self, inputs: Sequence[Array], states: States, counts: Tally) -> Array:
        """Return the output (C) of inputs (C); change the states in place; count what is clipped.

        Counts are under the names that `counted` lists.
        """


def initial_states(member: Member) -> dict[str, Array]:
    """Return the states of a member before the first step of a sample, each without a batch."""
    if isinstance(member, Node):
        return member.initial_states()
    return {name: values[0] for name, values in member.start(1).items()}


def counted(member: Member) -> tuple[str, ...]:
    """Return the names under which clipped integers of a member are counted."""
    if isinstance(member, Node):
        return ()
    return (member.name,) * member.saturates + (member.state_tally,) * bool(member.states)


def stepper(member: Member) -> MemberStep:
    """Return what computes a member, for the present values of its fields."""
    if isinstance(member, Node):
        return _Floating(member)
    return _Interpreted(member) if member.traced() is None else _Compiled(member)


def warm_up() -> None:
    """Compile every known operation, once for all processes that are forked from this one."""
    saturate()
    for kind in OP_TYPES.values():
        if kind.traced() is not None:
            kernel(kind)


class _Compiled:
    """An operation with an equation."""

    def __init__(self, op: Op) -> None:
        self.op = op
        self.kernel = kernel(type(op))
        self.saturate = saturate()
        self.parameters = parameters_of(op)
        channels, modes = op.out.channels, max(op.modes, 1)
        self.states = np.zeros((channels, modes, len(op.states)), np.int64)
        self.sizes = (1, 1, channels, channels, modes, self.states.size, 0)

    def __call__(self, inputs: Sequence[Array], states: States, counts: Tally) -> Array:
        op = self.op
        out = np.empty(op.out.channels, np.int64)
        kept = self.states
        for number, state in enumerate(op.states):
            values = states[state.name]
            kept[..., number] = values if values.ndim == 2 else values[:, None]
        first, last = inputs[0], inputs[-1]
        clipped = self.kernel(
            first, last, out, kept.ravel(), _NOTHING, self.parameters, *self.sizes
        )
        for number, state in enumerate(op.states):
            values = states[state.name]
            values[...] = kept[..., number] if values.ndim == 2 else kept[:, 0, number]
        if clipped:
            counts[op.state_tally] += clipped
        if op.saturates:
            outside = self.saturate(out, *limits(op.out.bits))
            if outside:
                counts[op.name] += outside
        return out


_NOTHING = np.empty(0, np.int64)


class _Interpreted:
    """An operation that defines its step itself."""

    def __init__(self, op: Op) -> None:
        self.op = op

    def __call__(self, inputs: Sequence[Array], states: States, counts: Tally) -> Array:
        before = {name: values[None] for name, values in states.items()}
        after, out = self.op.step(before, *(x[None] for x in inputs), tally=counts)
        for name, values in after.items():
            states[name][...] = values[0]
        result: Array = out[0]
        return result


class _Floating:
    """A node of a float graph."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __call__(self, inputs: Sequence[Array], states: States, counts: Tally) -> Array:
        return self.node.step(states, *inputs)
