"""Print an operation's equation in C: integers in the types that its bounds prove wide enough.

The loops are those of `derive.layout`. Every instruction becomes a constant of 32 bits where its
bounds allow it, else of 64; a parameter that is one number for all channels becomes a literal.
Nothing is undefined: no sum or product can overflow its type, numbers are shifted to the left
without their sign, and to the right as the unit's assertion says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.c.numbers import INT32, INT64, CType, cast, ends, literal, working
from neurossm.c.unit import CArgument, Parameter, TranslationUnit
from neurossm.derive.layout import Begin, Compute, Gather, Loop, Node, Write, layout
from neurossm.program import Interval, Op, limits
from neurossm.program.code import Instruction

_INFIX = {"add": "+", "sub": "-", "mul": "*"}
_CHOICES = {"minimum": "lesser", "maximum": "greater"}


@dataclass(frozen=True)
class Storage:
    """The types in which an operation's inputs, output and states are stored."""

    inputs: Sequence[CType]
    output: CType
    states: Sequence[CType]


class EquationPrinter:
    """The kernel of one operation, for inputs in these intervals.

    Its function takes y, x0 (and x1), the states by name, where clipped integers are counted, and
    `parameters`.
    """

    def __init__(
        self, op: Op, intervals: Sequence[Interval], storage: Storage, unit: TranslationUnit
    ) -> None:
        self.op, self.storage, self.unit = op, storage, unit
        self.code = op.code
        self.states = [state.name for state in op.states]
        self.reaches = op.reaches(*intervals)
        self.clips_states = bool(op.states) and not op.states_proved(*intervals)
        fits = self.reaches[self.code.result].within(op.out.bits)
        self.clips = op.saturates and not (op.out.proved or fits)
        self.parameters: list[CArgument] = []
        self._types = [self._type(n) for n in range(len(self.code.instructions))]

    def body(self) -> list[str]:
        """Return the function's lines."""
        lines = ["uint64_t count = 0;"] if self.clips else []
        lines += ["uint64_t count_states = 0;"] if self.clips_states else []
        for node in layout(self.code):
            lines += self._node(node)
        lines += ["*clipped += count;"] if self.clips else []
        lines += ["*clipped_states += count_states;"] if self.clips_states else []
        return [f"    {line}" for line in lines]

    def _node(self, node: Node) -> Iterator[str]:
        if isinstance(node, Loop):
            modes = node.axis == "mode"
            index, size = ("n", self.op.modes) if modes else ("c", self.op.out.channels)
            yield f"for (size_t {index} = 0; {index} < {size}; ++{index}) {{"
            for part in node.body:
                yield from (f"    {line}" for line in self._node(part))
            yield "}"
        elif isinstance(node, Compute):
            yield from self._compute(node.number)
        elif isinstance(node, Begin):
            kind = self._types[node.number]
            yield f"{kind.name} v{node.number} = {literal(self._start(node.number), kind)};"
        elif isinstance(node, Gather):
            yield self._gather(node)
        elif isinstance(node, Write):
            yield from self._write(node.number)
        else:
            for name, kind in zip(self.states, self.storage.states, strict=True):
                value = self._operand(self.code.states[name], kind)
                yield f"{name}[{self._place(node.axis)}] = {value};"

    def _place(self, axis: str) -> str:
        return f"c * {self.op.modes} + n" if axis == "mode" else "c"

    def _start(self, number: int) -> int:
        """Return 0 for a sum, and what is no greater than any for the greatest."""
        item = self.code.instructions[number]
        return ends(self.reaches[item.args[0]].low)[0] if item.kind == "largest" else 0

    def _gather(self, node: Gather) -> str:
        kind = self._types[node.number]
        value, more = f"v{node.number}", self._operand(node.source, kind)
        if self.code.instructions[node.number].kind == "largest":
            return f"{value} = {self._help('greater', kind, value, more)};"
        return f"{value} += {more};"

    def _write(self, number: int) -> Iterator[str]:
        kind, output = self._types[number], self.storage.output
        value = self._operand(number, kind)
        if self.clips:
            yield f"const {kind.name} out = {_clipped(value, self.op.out.bits, kind)};"
            yield f"count += out != {value};"
            value = "out"
        yield f"y[c] = {cast(value, kind, output)};"

    def _compute(self, number: int) -> Iterator[str]:
        item, kind = self.code.instructions[number], self._types[number]
        if item.kind != "saturated":
            text, own = self._expression(number, item)
            yield f"const {kind.name} v{number} = {cast(text, own, kind)};"
            return
        wide, bits = self._types[item.args[0]], self._constant(item.args[1])
        value = self._operand(item.args[0], wide)
        if not self.clips_states or self.reaches[item.args[0]].within(bits):
            yield f"const {kind.name} v{number} = {cast(value, wide, kind)};"
            return
        yield f"const {kind.name} v{number} = {cast(_clipped(value, bits, wide), wide, kind)};"
        yield f"count_states += v{number} != {value};"

    def _expression(self, number: int, item: Instruction) -> tuple[str, CType]:
        """Return how a value is computed, and the type of that."""
        if item.kind == "input":
            return f"x{item.value}[c]", self.storage.inputs[item.value]
        if item.kind == "state":
            stored = self.storage.states[self.states.index(item.name)]
            return f"{item.name}[{self._place(item.axis)}]", stored
        if item.kind in ("rshift", "floor_shift"):
            return self._shifted(number, item)
        if item.kind == "lookup":
            return self._entry(item)
        if item.kind == "bit_length":
            self.unit.helpers.add("bit_length")
            return f"bit_length({self._operand(item.args[0], INT64)})", INT32
        kind = _wider(self._types[number], *(self._types[arg] for arg in item.args))
        args = [self._operand(arg, kind) for arg in item.args]
        if item.kind in _INFIX:
            return f"{args[0]} {_INFIX[item.kind]} {args[1]}", kind
        if item.kind == "greater":
            return f"{args[0]} > {args[1]}", INT32
        if item.kind == "select":
            return f"{args[0]} != 0 ? {args[1]} : {args[2]}", kind
        return self._help(_CHOICES[item.kind], kind, *args), kind

    def _entry(self, item: Instruction) -> tuple[str, CType]:
        """Return an entry of a table of parameters, computed where they lie evenly."""
        number, index = item.args
        table = self.op.parameters[self.code.instructions[number].value]
        steps = np.diff(table)
        if (steps == steps[:1]).all():
            first, step = int(table[0]), int(steps[0]) if steps.size else 0
            reach = np.concatenate([table, table - first, [step]])
            kind = _wider(self._types[index], working(*ends(reach)))
            place = self._operand(index, kind)
            return f"{literal(first, kind)} + {place} * {literal(step, kind)}", kind
        what = str(self.code.parameters[self.code.instructions[number].value])
        name, kind = self._array(what, table)
        return f"{name}[{self._operand(index, self._types[index])}]", kind

    def _shifted(self, number: int, item: Instruction) -> tuple[str, CType]:
        """Return a shift, by a number, by one per channel or mode, or by what is computed.

        Shifts to the right round in either of two ways: `(p + half) >> k`, or without a half that
        could be too large, `((p >> (k - 1)) + 1) >> 1`.
        """
        source, by = item.args
        least, most = ends(self.reaches[by].low)[0], ends(self.reaches[by].high)[1]
        half = 1 << most - 1 if most > 0 and item.kind == "rshift" else 0
        low, high = ends(self.reaches[source].low)[0], ends(self.reaches[source].high)[1]
        kind = _wider(self._types[number], self._types[source])
        if most > 31 or least < -30:
            kind = INT64
        if self.code.instructions[by].kind not in ("number", "parameter"):
            kind = _wider(kind, working(low, high + half))
            p, k = self._operand(source, kind), self._operand(by, INT32)
            if item.kind == "floor_shift":
                return f"{p} >> {k}", kind
            return self._help("either", kind, p, k), kind
        if least == most:
            kind = _wider(kind, working(low, high + half))
            return _by_constant(self._operand(source, kind), least, half, kind), kind
        if least <= 0:
            kind = _wider(kind, working(2 * low, 2 * high))
        return self._by_array(item, self._operand(source, kind), kind), kind

    def _by_array(self, item: Instruction, p: str, kind: CType) -> str:
        """Return a shift by one number per channel or mode, stored as it is needed."""
        by = self.code.instructions[item.args[1]]
        values, what = self.op.parameters[by.value], str(self.code.parameters[by.value])
        if values.max() <= 0:
            name, _ = self._array(f"-({what})", -values)
            return f"{p} * (({kind.name})1 << {name}[{self._place(by.axis)}])"
        less = item.kind == "rshift" and values.min() > 0
        name, _ = self._array(f"{what} - 1" if less else what, values - less)
        k = f"{name}[{self._place(by.axis)}]"
        if item.kind == "floor_shift":
            return f"{p} >> {k}"
        if values.min() < 0:
            return self._help("either", kind, p, k)
        return f"(({p} >> {k}) + 1) >> 1" if less else f"((({p} + {p}) >> {k}) + 1) >> 1"

    def _help(self, stem: str, kind: CType, *args: str) -> str:
        name = f"{stem}{kind.bits}"
        self.unit.helpers.add(name)
        return f"{name}({', '.join(args)})"

    def _operand(self, number: int, kind: CType) -> str:
        """Return an instruction's value, converted to a type."""
        item = self.code.instructions[number]
        if item.kind == "number" or (item.kind == "parameter" and self._is_constant(number)):
            return literal(self._constant(number), _wider(kind, INT32))
        if item.kind == "parameter":
            what = str(self.code.parameters[item.value])
            name, own = self._array(what, self.op.parameters[item.value])
            return cast(f"{name}[{self._place(item.axis)}]", own, kind)
        return cast(f"v{number}", self._types[number], kind)

    def _is_constant(self, number: int) -> bool:
        item = self.code.instructions[number]
        values = self.op.parameters[item.value]
        return item.axis == "shared" or bool(np.min(values) == np.max(values))

    def _constant(self, number: int) -> int:
        item = self.code.instructions[number]
        values = item.value if item.kind == "number" else self.op.parameters[item.value]
        return int(np.min(values))

    def _array(self, what: str, values: IntArray) -> tuple[str, CType]:
        """Return the name under which the function knows some parameters, and their type."""
        made: Parameter = self.unit.parameter(self.op.name, what, values)
        for number, argument in enumerate(self.parameters):
            if argument.value == made.name:
                return f"q{number}", made.kind
        name = f"q{len(self.parameters)}"
        self.parameters.append(CArgument(f"const {made.kind.name} *{name}", made.name))
        return name, made.kind

    def _type(self, number: int) -> CType:
        """Return the type of an instruction's value; of a sum, one that holds every part of it."""
        item, reach = self.code.instructions[number], self.reaches[number]
        if item.kind in ("total", "over_modes"):
            parts = np.asarray(self.reaches[item.args[0]].largest())
            axes = None if item.kind == "total" else -1
            count = self.op.out.channels if item.kind == "total" else self.op.modes
            size = int(np.max(parts.sum(axes))) if parts.ndim else count * int(parts)
            return working(-size, size)
        return working(ends(reach.low)[0], ends(reach.high)[1])


def _wider(*kinds: CType) -> CType:
    return max(kinds, key=lambda kind: kind.bits)


def _clipped(value: str, bits: int, kind: CType) -> str:
    """Return a value clamped to so many bits, of which a type may hold no more."""
    low, high = limits(bits)
    least, most = literal(max(low, kind.low), kind), literal(min(high, kind.high), kind)
    return f"{value} < {least} ? {least} : ({value} > {most} ? {most} : {value})"


def _by_constant(p: str, k: int, half: int, kind: CType) -> str:
    if k < 0:
        return f"{p} * {literal(1 << -k, kind)}"
    if k == 0:
        return p
    return f"({p} + {literal(half, kind)}) >> {k}" if half else f"{p} >> {k}"
