"""What every instruction of an equation can be, given what its inputs and states can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurossm.errors import LimitError
from neurossm.program.arithmetic import EXACT_BITS, bit_length, limits, rshift
from neurossm.program.code import Instruction
from neurossm.program.tensor import Interval

if TYPE_CHECKING:
    from neurossm.program.operation import Op

Ends = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Reach:
    """Least and greatest value of an instruction: (C), (H, N), or a single number."""

    low: Ends
    high: Ends

    def largest(self) -> Ends:
        """Return the largest magnitude."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def clipped(self, low: Any, high: Any) -> Reach:
        """Return what remains of it within limits."""
        return Reach(np.clip(self.low, low, high), np.clip(self.high, low, high))

    def within(self, bits: int) -> bool:
        """Tell whether every integer fits so many bits."""
        low, high = limits(bits)
        return bool((self.low >= low).all() and (self.high <= high).all())


def reaches(op: Op, inputs: Sequence[Interval], states: Mapping[str, Reach]) -> tuple[Reach, ...]:
    """Return the reach of every instruction of an operation's code.

    `states` hold before and after each step, and stand for the next states, too.

    Raises
    ------
    LimitError
        An intermediate result could need more than 62 bits.
    """
    walk = _Walk(op, [Reach(x.low, x.high) for x in inputs], states)
    return walk.run()


class _Walk:
    """Interval arithmetic over a list of instructions."""

    def __init__(self, op: Op, inputs: Sequence[Reach], states: Mapping[str, Reach]) -> None:
        self.op, self.inputs, self.states = op, inputs, states
        self.code = op.code
        self.following = {number: name for name, number in self.code.states.items()}
        self.done: list[Reach] = []

    def run(self) -> tuple[Reach, ...]:
        for number, item in enumerate(self.code.instructions):
            reach = self._leaf(item)
            if reach is None:
                args = [self._spread(item, arg) for arg in item.args]
                reach = self._computed(item, args)
            if number in self.following:
                reach = self.states[self.following[number]]
            self.done.append(reach)
        return tuple(self.done)

    def _computed(self, item: Instruction, args: Sequence[Reach]) -> Reach:
        """Return what an instruction can be, or what is promised where 62 bits cannot tell."""
        size = _SIZES.get(item.kind)
        worst = float(np.max(size(*args))) if size else 0.0
        if not worst < 2.0**EXACT_BITS:
            return self._promised(item, worst)
        reach = _RULES[item.kind](*args)
        if item.axis == "row" or item.kind in ("total", "largest"):
            reach = Reach(np.min(reach.low), np.max(reach.high))
        return reach if item.known is None else reach.clipped(*item.known)

    def _leaf(self, item: Instruction) -> Reach | None:
        if item.kind == "input":
            return self.inputs[item.value]
        if item.kind == "state":
            return self.states[item.name]
        if item.kind in ("number", "parameter"):
            value = item.value if item.kind == "number" else self.op.parameters[item.value]
            return Reach(np.asarray(value), np.asarray(value))
        return None

    def _spread(self, item: Instruction, arg: int) -> Reach:
        reach = self.done[arg]
        axis = self.code.instructions[arg].axis
        if item.kind == "total" and reach.low.ndim == 0:
            size = (self.op.out.channels,)
            return Reach(np.broadcast_to(reach.low, size), np.broadcast_to(reach.high, size))
        if item.axis == "mode" and axis == "channel":
            return Reach(reach.low[:, None], reach.high[:, None])
        return reach

    def _promised(self, item: Instruction, worst: float) -> Reach:
        """Return bounds that are proved elsewhere; refuse arithmetic that 62 bits cannot hold."""
        if item.known is not None:
            return Reach(*map(np.asarray, item.known))
        raise LimitError(
            f"{self.op.name}: {item.expression.equation} can reach 2^{np.log2(worst):.1f}, "
            f"beyond the {EXACT_BITS} bits of exact integer arithmetic; use narrower widths"
        )


def _corners(function: Callable[[Ends, Ends], Ends], a: Reach, b: Reach) -> Reach:
    """Return the extremes of a function that is monotone in each argument."""
    ends = [function(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return Reach(np.minimum.reduce(ends), np.maximum.reduce(ends))


def _select(condition: Reach, a: Reach, b: Reach) -> Reach:
    always = (condition.low > 0) | (condition.high < 0)
    never = (condition.low == 0) & (condition.high == 0)
    low = np.where(always, a.low, np.where(never, b.low, np.minimum(a.low, b.low)))
    high = np.where(always, a.high, np.where(never, b.high, np.maximum(a.high, b.high)))
    return Reach(low, high)


def _lookup(table: Reach, index: Reach) -> Reach:
    entries = np.arange(table.low.size)
    inside = (entries >= index.low[..., None]) & (entries <= index.high[..., None])
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    return Reach(
        np.where(inside, table.low, most).min(-1), np.where(inside, table.high, least).max(-1)
    )


_RULES: dict[str, Callable[..., Reach]] = {
    "add": lambda a, b: Reach(a.low + b.low, a.high + b.high),
    "sub": lambda a, b: Reach(a.low - b.high, a.high - b.low),
    "mul": lambda a, b: _corners(np.multiply, a, b),
    "rshift": lambda p, k: _corners(rshift, p, k),
    "floor_shift": lambda p, k: _corners(np.right_shift, p, k),
    "minimum": lambda a, b: Reach(np.minimum(a.low, b.low), np.minimum(a.high, b.high)),
    "maximum": lambda a, b: Reach(np.maximum(a.low, b.low), np.maximum(a.high, b.high)),
    "greater": lambda a, b: Reach(
        (a.low > b.high).astype(np.int64), (a.high > b.low).astype(np.int64)
    ),
    "select": _select,
    "lookup": _lookup,
    "bit_length": lambda a: Reach(bit_length(np.maximum(a.low, 0)), bit_length(a.high)),
    "total": lambda a: Reach(a.low.sum(), a.high.sum()),
    "largest": lambda a: Reach(a.low.max(), a.high.max()),
    "over_modes": lambda a: Reach(a.low.sum(-1), a.high.sum(-1)),
    "saturated": lambda p, bits: p.clipped(*limits(int(bits.low))),
}


def _shifted_size(p: Reach, k: Reach) -> Ends:
    """Return the largest sum before a shift to the right, or result of one to the left."""
    half = np.exp2(np.maximum(k.high - 1.0, 0.0)) * (k.high > 0)
    left = np.exp2(np.maximum(-k.low, 0.0))
    size: Ends = np.maximum(p.largest() + half, p.largest() * left)
    return size


_SIZES: dict[str, Callable[..., Ends]] = {
    "add": lambda a, b: a.largest().astype(np.float64) + b.largest(),
    "sub": lambda a, b: a.largest().astype(np.float64) + b.largest(),
    "mul": lambda a, b: a.largest().astype(np.float64) * b.largest(),
    "rshift": _shifted_size,
    "total": lambda a: a.largest().astype(np.float64).sum(),
    "over_modes": lambda a: a.largest().astype(np.float64).sum(-1),
}
