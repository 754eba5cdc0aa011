"""Equations that no operation has yet, for the printers: they know more forms than are in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import replay

from neurossm import program as p
from neurossm.arrays import IntArray
from neurossm.program.evaluate import Evaluator
from neurossm.program.expression import Expression, minimum, rshift
from neurossm.program.fields import Symbols, per_channel
from neurossm.program.operation import Op

CHANNELS, ROWS = 3, 40


@dataclass(frozen=True, eq=False)
class Probe(Op):
    """An operation of two inputs and some parameters."""

    gain: IntArray = per_channel()
    shift: IntArray = per_channel(shift=True)
    offset: IntArray = per_channel()
    arity: ClassVar[int] = 2
    saturates: ClassVar[bool] = False


Equation = Callable[[Symbols, Expression, Expression], Expression]
_EQUATIONS: dict[str, Equation] = {
    "a difference": lambda f, x, y: x - y,
    "a product": lambda f, x, y: x * y,
    "a product of what is rounded": lambda f, x, y: f.gain * rshift(x, f.shift),
    "a product of two rounded": lambda f, x, y: rshift(x, f.shift) * rshift(y, 1),
    "rounded and shifted left": lambda f, x, y: rshift(rshift(x, f.shift), -1),
    "rounded twice": lambda f, x, y: rshift(rshift(x, f.shift), 1),
    "a rounded difference": lambda f, x, y: x - rshift(y, f.shift),
    "a difference of rounded": lambda f, x, y: rshift(x, f.shift) - rshift(y, 2),
    "an input twice": lambda f, x, y: f.gain * x + (y - x),
    "the lesser of what is rounded": lambda f, x, y: minimum(rshift(x, f.shift), y) + f.offset,
    "a sum that is scaled": lambda f, x, y: rshift(f.gain * (x + f.offset), f.shift) - y,
}


@cache
def parts() -> tuple[replay.Part, ...]:
    """Return one operation for each equation, with small numbers and with large ones."""
    return tuple(
        _part(name, equation, bits) for name, equation in _EQUATIONS.items() for bits in (5, 27)
    )


def _part(name: str, equation: Equation, bits: int) -> replay.Part:
    fields: dict[str, Any] = {"equation": staticmethod(lambda f, *x: equation(f, *x))}
    kind = type(Probe.__name__, (Probe,), fields)
    rng = np.random.default_rng(bits)
    limit = (1 << bits) - 1
    inputs = tuple(rng.integers(-limit, limit, (ROWS, CHANNELS), endpoint=True) for _ in "xy")
    for x in inputs:
        x[:2] = limit  # odd
    op = kind(
        *("op", ("x", "y"), p.unchecked(62, 0, CHANNELS)),
        gain=np.array([3, -5, 7]),
        shift=np.array([1, 2, 3]),
        offset=np.array([5, -3, 1]),
    )
    reach = np.full(CHANNELS, limit)
    output = Evaluator(op)(inputs, {}, lambda value, _: value)[0]
    tallies = {op.name: 0, op.state_tally: 0}
    bounds = (p.Interval(-reach, reach),) * 2
    return replay.Part(f"{name}, {bits} bits", op, bounds, inputs, output, {}, {}, tallies)


def difference() -> str | None:
    """Return where a kernel that is printed now differs from an equation, or None."""
    place = replay.noticed(parts(), replay.in_integers)
    return place or replay.noticed(parts(), replay.in_floats)
