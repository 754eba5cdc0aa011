"""Integer expressions: what an operation computes, as data that every engine reads.

An operation writes its equation once, in Python's operators and the functions below. The result is
a graph of primitives, from which engines derive code, intervals derive bounds, and counts are
taken. The primitives, on 64-bit integers:

==================  ===============================================================================
add, sub, mul       sum, difference, product
rshift(p, k)        `floor((p + 2**(k-1)) / 2**k)`, p for k = 0, `p 2**-k` for k < 0
floor_shift(p, k)   `floor(p / 2**k)`, k >= 0
minimum, maximum    the lesser, the greater
greater(a, b)       1 where a > b, else 0
select(c, a, b)     a where c is not 0, else b
lookup(t, i)        entry i of a table
bit_length(a)       number of bits of a >= 0 without sign
total, largest      sum and greatest over the channels
over_modes          sum over the modes of a channel
saturated(p, bits)  p clamped to signed integers of so many bits; what is clamped is counted
==================  ===============================================================================

Every expression has an *axis*: it is "shared" by all channels, one number per step ("row"), one per
"channel", or one per "mode" of every channel. Fields of a table ("entry") occur in `lookup` only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

AXES = ("shared", "row", "channel", "mode")
"""From few numbers to many; an expression has the last axis of its parts."""
LEAVES = ("input", "state", "field", "number")


@dataclass(frozen=True, eq=False)
class Expression:
    """A primitive of other expressions, or a leaf: an input, a state, a field, a number.

    Parameters
    ----------
    kind
        One of `LEAVES`, or the name of a primitive.
    args
        What it is computed from.
    axis
        See above; "entry" for the fields of tables.
    name
        Of a field or a state.
    value
        A number, or which input.
    known
        Least and greatest value that a proof in the operation's docstring promises, where interval
        arithmetic sees less.
    label
        What people call it.
    """

    kind: str
    args: tuple[Expression, ...] = ()
    axis: str = "shared"
    name: str = ""
    value: int = 0
    known: tuple[int, int] | None = None
    label: str = ""

    def __add__(self, other: Operand) -> Expression:
        return _make("add", self, other)

    def __radd__(self, other: Operand) -> Expression:
        return _make("add", other, self)

    def __sub__(self, other: Operand) -> Expression:
        return _make("sub", self, other)

    def __rsub__(self, other: Operand) -> Expression:
        return _make("sub", other, self)

    def __mul__(self, other: Operand) -> Expression:
        return _make("mul", self, other)

    def __rmul__(self, other: Operand) -> Expression:
        return _make("mul", other, self)

    def __neg__(self) -> Expression:
        return _make("sub", 0, self)

    def within(self, low: int, high: int) -> Expression:
        """Return the same with bounds that are proved elsewhere."""
        return replace(self, known=(low, high))

    def called(self, label: str) -> Expression:
        """Return the same under a name for people."""
        return replace(self, label=label)

    def __str__(self) -> str:
        """Return its name, or the equation as people write it."""
        return self.label or self.equation

    @property
    def equation(self) -> str:
        """The equation, its parts by their names where they have any."""
        if self.kind == "number":
            return str(self.value)
        if self.kind == "input":
            return "xyz"[self.value]
        if self.kind in LEAVES:
            return self.name
        sign = {"add": "+", "sub": "-", "mul": "*"}.get(self.kind)
        if sign is None:
            return f"{self.kind}({', '.join(map(str, self.args))})"
        if self.kind == "sub" and self.args[0].kind == "number" and self.args[0].value == 0:
            return f"-{_grouped(self.args[1])}"
        sides = map(_grouped if self.kind == "mul" else str, self.args)
        return f" {sign} ".join(sides)


Operand: TypeAlias = "Expression | int"


@dataclass(frozen=True, eq=False)
class Step:
    """What an operation computes in one time step: its result, and each state's next value."""

    result: Expression
    states: dict[str, Expression] = field(default_factory=dict)


def number(value: int) -> Expression:
    """Return a constant."""
    return Expression("number", value=value)


def rshift(p: Operand, k: Operand) -> Expression:
    """Shift right by k bits to nearest, halves up; left for negative k."""
    return _make("rshift", p, k)


def floor_shift(p: Operand, k: Operand) -> Expression:
    """Shift right by k >= 0 bits, rounding down."""
    return _make("floor_shift", p, k)


def minimum(a: Operand, b: Operand) -> Expression:
    """Return the lesser."""
    return _make("minimum", a, b)


def maximum(a: Operand, b: Operand) -> Expression:
    """Return the greater."""
    return _make("maximum", a, b)


def greater(a: Operand, b: Operand) -> Expression:
    """Return 1 where a > b, else 0."""
    return _make("greater", a, b)


def select(condition: Expression, a: Operand, b: Operand) -> Expression:
    """Return a where the condition is not 0, else b."""
    return _make("select", condition, a, b)


def lookup(table: Expression, index: Expression) -> Expression:
    """Return an entry of a table."""
    return Expression("lookup", (table, index), index.axis)


def bit_length(a: Expression) -> Expression:
    """Return the number of bits of a, which is at least 0, without sign; 0 for 0."""
    return _make("bit_length", a)


def total(a: Expression) -> Expression:
    """Return the sum over the channels."""
    return Expression("total", (a,), "row")


def largest(a: Expression) -> Expression:
    """Return the greatest over the channels."""
    return Expression("largest", (a,), "row")


def over_modes(a: Expression) -> Expression:
    """Return the sum over the modes of each channel."""
    return Expression("over_modes", (a,), "channel")


def saturated(p: Expression, bits: Expression) -> Expression:
    """Clamp a state to signed integers of so many bits, and count what that changes."""
    return Expression("saturated", (p, bits), p.axis)


def _make(kind: str, *operands: Operand) -> Expression:
    args = tuple(number(part) if isinstance(part, int) else part for part in operands)
    axis = max((part.axis for part in args), key=AXES.index)
    return Expression(kind, args, axis)


def _grouped(part: Expression) -> str:
    return f"({part})" if part.kind in ("add", "sub") else str(part)
