"""Operations that the package does not have, and programs of them.

The GPU engine derives them from their equations: pointwise, with statistics of a row, with tables,
with states of channels and of modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm import graph as g
from neurossm import program as p
from neurossm.arrays import FloatArray, IntArray
from neurossm.program.certificate import certify
from neurossm.program.expression import (
    Expression,
    Step,
    bit_length,
    floor_shift,
    greater,
    largest,
    lookup,
    maximum,
    minimum,
    over_modes,
    rshift,
    saturated,
    select,
    total,
)
from neurossm.program.fields import State, Symbols, per_channel, per_entry, per_mode, scalar
from neurossm.program.operation import Op


@dataclass(frozen=True, eq=False)
class Rectified(Op):
    """`y = max(x, 0)`."""

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Rectify."""
        return maximum(x[0], 0)


@dataclass(frozen=True, eq=False)
class Spread(Op):
    """Distance from the mean and the greatest, shifted by the number of bits of the latter."""

    table: IntArray = per_entry()
    shift: IntArray = per_channel(shift=True)

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Mix all primitives; the index is within the table by its bounds alone."""
        size = largest(maximum(x[0], -x[0]))
        bits = bit_length(size)
        entry = lookup(f.table, minimum(bit_length(maximum(x[0], -x[0])), bits))
        away = rshift(x[0] * size - total(x[0]), bits - 6)
        return select(greater(away, entry), rshift(away + entry, f.shift), floor_shift(entry, 1))


@dataclass(frozen=True, eq=False)
class Leaky(Op):
    """`v' = sat(rshift(decay v, shift) + x)`; a spike and 0 where v' exceeds the threshold."""

    decay: IntArray = per_channel()
    shift: IntArray = per_channel(shift=True)
    threshold: IntArray = per_channel()
    state_bits: int = scalar()
    states: ClassVar[tuple[State, ...]] = (State("v", "channel", "state_bits"),)
    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "binary"

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Leak, add, spike, and reset."""
        v = saturated(rshift(f.decay * f.state("v"), f.shift) + x[0], f.state_bits)
        spike = greater(v, f.threshold)
        return Step(spike, {"v": select(spike, 0, v)})


@dataclass(frozen=True, eq=False)
class Rivals(Op):
    """Two states that read the sum over all channels, and one input twice."""

    shift: IntArray = per_channel(shift=True)
    state_bits: int = scalar()
    states: ClassVar[tuple[State, ...]] = (
        State("slow", "channel", "state_bits"),
        State("last", "channel", "state_bits"),
    )
    arity: ClassVar[int] = 2

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Inhibit by what the others were."""
        slow, last = f.state("slow"), f.state("last")
        others = total(last) - last
        slow = saturated(slow + x[0] - rshift(others, f.shift), f.state_bits)
        return Step(slow + last, {"slow": slow, "last": saturated(x[1], f.state_bits)})


@dataclass(frozen=True, eq=False)
class Modes(Op):
    """A real state for each mode, added up."""

    pole: IntArray = per_mode()
    shift: IntArray = per_channel(shift=True)
    state_bits: int = scalar()
    states: ClassVar[tuple[State, ...]] = (State("v", "mode", "state_bits"),)

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Decay and add."""
        v = saturated(rshift(f.pole * f.state("v"), f.shift) + x[0], f.state_bits)
        return Step(over_modes(v), {"v": v})


def programs(bits: int, channels: int, seed: int = 0) -> dict[str, p.Program]:
    """Return a program around each of them; the input's integers reach 2^bits, at most 2^36."""
    rng = np.random.default_rng(seed)
    out = p.unchecked(bits + 1, bits, channels)
    one = np.ones(channels, np.int64)
    spikes = p.unchecked(2, 0, channels)
    shift = rng.integers(-2, 4, channels)
    state = 1 + bits
    leaky = rng.integers(-15, 16, channels), 4 * one, (1 << bits) // 2 * one, state
    table = rng.integers(-1 << bits, 1 << bits, bits + 3)
    add = p.Add("sum", ("relu", "spread"), out)
    operations: dict[str, list[Op]] = {
        "pointwise": [
            Rectified("relu", ("x",), out),
            Spread("spread", ("relu",), out, table, shift),
            add,
        ],
        "leaky": [Leaky("lif", ("x",), spikes, *leaky)],
        "rivals": [Rivals("rivals", ("x", "x"), out, abs(shift), state)],
        "modes": [
            Modes("modes", ("x",), out, rng.integers(-15, 16, (channels, 3)), 4 * one, state)
        ],
    }
    if bits > 25:
        del operations["pointwise"]  # products of its inputs would not fit 62 bits
    return {name: certify(_program(ops, bits, channels)) for name, ops in operations.items()}


def _program(ops: list[Op], bits: int, channels: int) -> p.Program:
    """Return a program that begins with an input, and sums up the last operation's output."""
    spec = p.unchecked(bits + 2, bits, channels)
    source = p.Input("x", (), spec, "float", channels, -1.0, 1.0)
    weight = np.arange(2 * channels).reshape(2, -1) - channels
    last = ops[-1].name
    readout = p.Readout(
        "decoder", (last,), p.unchecked(60, 0, 2), weight, np.array([5, -5]), 0, 1 << 10
    )
    nodes = (g.InputNode("x", (), "float", channels, -1.0, 1.0, 1.0),)
    return p.Program((source, *ops, readout), g.Graph(nodes), "none")


def data_for(program: p.Program, samples: int, steps: int) -> FloatArray:
    """Return inputs with the least, the greatest, 0, and random ones."""
    rng = np.random.default_rng(steps)
    shape = (samples, steps, program.input.size)
    ends = rng.choice([-1.0, 1.0, 0.0], shape)
    return np.where(rng.uniform(size=shape) < 0.3, ends, rng.uniform(-1, 1, shape))
