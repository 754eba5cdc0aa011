"""Evaluation of an equation on arrays: NumPy's here, any library's with its own `Arithmetic`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurossm.program.arithmetic import bit_length, rshift, shift_parts
from neurossm.program.code import Instruction

if TYPE_CHECKING:
    from neurossm.program.expression import Expression
    from neurossm.program.operation import Op

Array = Any
"""Integers of NumPy, or of another library with the same operators."""
Clip = Callable[[Array, int], Array]
"""Clamps states to so many bits, and counts what that changes."""


class Arithmetic:
    """The primitives on NumPy arrays; a subclass does the same for another library."""

    def array(self, values: Any) -> Array:
        """Return 64-bit integers."""
        return np.asarray(values, np.int64)

    def rshift(self, p: Array, k: Array) -> Array:
        """Shift by amounts that are computed."""
        return rshift(p, k)

    def minimum(self, a: Array, b: Array) -> Array:
        """Return the lesser."""
        return np.minimum(a, b)

    def maximum(self, a: Array, b: Array) -> Array:
        """Return the greater."""
        return np.maximum(a, b)

    def greater(self, a: Array, b: Array) -> Array:
        """Return 1 where a > b."""
        return (a > b).astype(np.int64)

    def select(self, condition: Array, a: Array, b: Array) -> Array:
        """Choose."""
        return np.where(condition != 0, a, b)

    def bit_length(self, a: Array) -> Array:
        """Count bits."""
        return bit_length(a)

    def total(self, a: Array) -> Array:
        """Add up the channels, (..., C) to (..., 1)."""
        return a.sum(-1, keepdims=True)

    def largest(self, a: Array) -> Array:
        """Return the greatest channel, (..., C) to (..., 1)."""
        return a.max(-1, keepdims=True)

    def over_modes(self, a: Array) -> Array:
        """Add up the modes, (..., H, N) to (..., H)."""
        return a.sum(-1)


class Shift:
    """`rshift(p, k)` for given k, as three parts: `((p + half) >> right) << left`."""

    def __init__(self, k: Any, arithmetic: Arithmetic) -> None:
        half, right, left = shift_parts(k)
        self._half, self._right = arithmetic.array(half), arithmetic.array(right)
        self._left = arithmetic.array(left) if left.any() else None

    def __call__(self, p: Array) -> Array:
        """Shift right to nearest, halves up; left for negative k."""
        shifted = (p + self._half) >> self._right
        return shifted if self._left is None else shifted << self._left


class Evaluator:
    """An operation's equation, ready to be computed step by step.

    Arrays of "channel" are (..., C), of "mode" (..., H, N), of "row" (..., 1).
    """

    def __init__(self, op: Op, arithmetic: Arithmetic | None = None) -> None:
        """Compute the parameters."""
        self._a = arithmetic or Arithmetic()
        self.code = op.code
        self._parameters = [self._a.array(values) for values in op.parameters]
        self._shifts = {}
        for number, item in enumerate(self.code.instructions):
            if item.kind == "rshift":
                by = self.code.instructions[item.args[1]]
                if by.kind in ("parameter", "number"):
                    k = op.parameters[by.value] if by.kind == "parameter" else by.value
                    if item.axis == "mode" and by.axis == "channel":
                        k = np.asarray(k)[..., None]
                    self._shifts[number] = Shift(k, self._a)

    def __call__(
        self, inputs: Sequence[Array], states: Mapping[str, Array], clip: Clip
    ) -> tuple[Array, dict[str, Array]]:
        """Return the result, not saturated, and the next states."""
        values: list[Array] = []
        for number, item in enumerate(self.code.instructions):
            values.append(self._value(number, item, values, inputs, states, clip))
        following = {name: values[number] for name, number in self.code.states.items()}
        return values[self.code.result], following

    def _value(
        self,
        number: int,
        item: Instruction,
        values: list[Array],
        inputs: Sequence[Array],
        states: Mapping[str, Array],
        clip: Clip,
    ) -> Array:
        kind = item.kind
        if kind == "input":
            return inputs[item.value]
        if kind == "state":
            return states[item.name]
        if kind == "number":
            return item.value
        if kind == "parameter":
            return self._parameters[item.value]
        args = [self._spread(values[arg], item, arg) for arg in item.args]
        if kind == "rshift" and number in self._shifts:
            return self._shifts[number](args[0])
        if kind == "saturated":
            return clip(args[0], int(args[1]))
        simple = _OPERATORS.get(kind)
        return simple(*args) if simple else getattr(self._a, kind)(*args)

    def _spread(self, value: Array, item: Instruction, arg: int) -> Array:
        """Give a channel's number to all its modes."""
        narrow = item.axis == "mode" and self.code.instructions[arg].axis == "channel"
        return value[..., None] if narrow else value


_OPERATORS: dict[str, Callable[..., Array]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floor_shift": lambda p, k: p >> k,
    "lookup": lambda table, index: table[index],
}


def constant(e: Expression, op: Op) -> Array:
    """Return the value of an expression of fields alone."""
    if e.kind == "field":
        return np.asarray(getattr(op, e.name), np.int64)
    if e.kind == "number":
        return np.int64(e.value)
    args = [constant(part, op) for part in e.args]
    narrow = [e.axis == "mode" and part.axis == "channel" for part in e.args]
    spread = [v[..., None] if thin else v for v, thin in zip(args, narrow, strict=True)]
    simple = _OPERATORS.get(e.kind)
    return simple(*spread) if simple else getattr(Arithmetic(), e.kind)(*spread)
