"""Print an equation as a kernel of 64-bit integers, for Numba: word for word what is defined.

A kernel runs one operation over `samples` samples of `steps` steps each. Tensors are flat, (rows,
stride), a row being one step of one sample. The integers of its parameters follow a header of as
many offsets as there are parameters; states are (samples, H, N, states), N = 1 without modes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from neurossm.arrays import IntArray
from neurossm.program.code import Code, Instruction, code_of
from neurossm.program.expression import Step
from neurossm.program.operation import Op

ARGUMENTS = (
    "x, y, out, states, record, p, samples, steps, channels, stride, modes, state_stride, room"
)
"""Inputs, output, states, where states are recorded (rows, `room`), parameters, and sizes."""

_FORMS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "rshift": "rshift({0}, {1})",
    "floor_shift": "{0} >> {1}",
    "minimum": "min({0}, {1})",
    "maximum": "max({0}, {1})",
    "greater": "int64({0} > {1})",
    "select": "({1}) if {0} != 0 else ({2})",
    "bit_length": "bit_length({0})",
}


def parameters_of(op: Op) -> IntArray:
    """Return an operation's parameters as its kernel reads them: offsets, then integers."""
    arrays = [np.ravel(values) for values in op.parameters]
    sizes = [len(arrays), *(array.size for array in arrays)]
    header = np.cumsum(sizes)[:-1] if arrays else np.zeros(0, np.int64)
    block: IntArray = np.concatenate([header, *arrays]).astype(np.int64)
    return block


def kernel_source(name: str, kind: type[Op]) -> str:
    """Return the source of a function `name` of `ARGUMENTS` that returns how much it clipped.

    It calls `rshift`, `bit_length` and `int64`.
    """
    step = kind.traced()
    assert step is not None
    return "\n".join(_Printer(kind, step).lines(name)) + "\n"


class _Printer:
    """Lays an equation's instructions out in loops over channels and modes."""

    def __init__(self, kind: type[Op], step: Step) -> None:
        self.code = code_of(step)
        self.states = [state.name for state in kind.states]
        self.used = _ancestors(self.code)

    def lines(self, name: str) -> Iterator[str]:
        """Yield the function."""
        yield f"def {name}({ARGUMENTS}):"
        yield "    clipped = 0"
        for number in range(len(self.code.parameters)):
            yield f"    o{number} = p[{number}]"
        yield "    for sample in range(samples):"
        yield "        for t in range(steps):"
        yield "            row = (sample * steps + t) * stride"
        yield from _indented(self._step(), 3)
        yield "    return clipped"

    def _step(self) -> Iterator[str]:
        """Yield one step: a loop over channels for each reduction, then one for the result."""
        reductions = [
            number
            for number, item in enumerate(self.code.instructions)
            if item.kind in ("total", "largest")
        ]
        done: set[int] = set()
        for number in reductions:
            yield from self._rows(self.used[number], done)
            item = self.code.instructions[number]
            start = "0" if item.kind == "total" else "-(1 << 62)"
            (source,) = item.args
            yield f"r{number} = {start}"
            yield "for c in range(channels):"
            yield from _indented(self._channel([source], done), 1)
            value = self._value(source)
            more = f"r{number} + {value}" if item.kind == "total" else f"max(r{number}, {value})"
            yield f"    r{number} = {more}"
            done.add(number)
        ends = [self.code.result, *self.code.states.values()]
        yield from self._rows(set().union(*(self.used[end] for end in ends)), done)
        yield "for c in range(channels):"
        yield from _indented(self._channel(ends, done), 1)
        yield f"    out[row + c] = {self._value(self.code.result)}"
        if not self._has_modes():
            yield from _indented(self._store("c"), 1)

    def _rows(self, wanted: Iterable[int], done: set[int]) -> Iterator[str]:
        """Yield what is computed once for all channels, and not done yet."""
        for number in sorted(wanted):
            item = self.code.instructions[number]
            single = item.axis in ("row", "shared") and item.kind not in ("total", "largest")
            if single and number not in done and item.kind not in ("parameter", "number"):
                yield self._statement(number, item)
                done.add(number)

    def _channel(self, ends: list[int], done: set[int]) -> Iterator[str]:
        """Yield what one channel needs for some values; modes in a loop of their own."""
        wanted = sorted(self._needs(ends, set()) - done)
        after = [n for n in wanted if "over_modes" in self._kinds(n)]
        for number in wanted:
            item = self.code.instructions[number]
            if item.axis == "channel" and number not in after:
                yield from self._unless_leaf(number, item)
        if self._has_modes():
            yield from self._modes(wanted)
        for number in after:
            item = self.code.instructions[number]
            if item.kind != "over_modes":
                yield from self._unless_leaf(number, item)

    def _needs(self, ends: Iterable[int], found: set[int]) -> set[int]:
        """Add to `found` what a channel computes for some values, up to what is one per step."""
        for number in set(ends) - found:
            item = self.code.instructions[number]
            if item.axis in ("channel", "mode"):
                found.add(number)
                self._needs(item.args, found)
        return found

    def _modes(self, wanted: list[int]) -> Iterator[str]:
        sums = [n for n in wanted if self.code.instructions[n].kind == "over_modes"]
        yield from (f"v{number} = 0" for number in sums)
        yield "for n in range(modes):"
        for number in wanted:
            item = self.code.instructions[number]
            if item.axis == "mode":
                yield from _indented(self._unless_leaf(number, item), 1)
        for number in sums:
            (source,) = self.code.instructions[number].args
            yield f"    v{number} += {self._value(source)}"
        yield from _indented(self._store("c * modes + n"), 1)

    def _store(self, place: str) -> Iterator[str]:
        """Yield what keeps and records the next states."""
        count = len(self.states)
        for index, name in enumerate(self.states):
            value = self._value(self.code.states[name])
            yield f"at = sample * state_stride + ({place}) * {count} + {index}"
            yield f"states[at] = {value}"
            yield "if record.size > 0:"
            yield f"    at = (sample * steps + t) * room + ({place}) * {count} + {index}"
            yield f"    record[at] = {value}"

    def _unless_leaf(self, number: int, item: Instruction) -> Iterator[str]:
        if item.kind not in ("parameter", "number"):
            yield self._statement(number, item)
            if item.kind == "saturated":
                yield f"clipped += v{number} != {self._value(item.args[0])}"

    def _statement(self, number: int, item: Instruction) -> str:
        args = [self._value(arg) for arg in item.args]
        if item.kind == "input":
            text = f"{'xy'[item.value]}[row + c]"
        elif item.kind == "state":
            place = "c * modes + n" if item.axis == "mode" else "c"
            index = self.states.index(item.name)
            text = f"states[sample * state_stride + ({place}) * {len(self.states)} + {index}]"
        elif item.kind == "lookup":
            table = self.code.instructions[item.args[0]].value
            text = f"p[o{table} + {args[1]}]"
        elif item.kind == "saturated":
            limit = f"(int64(1) << ({args[1]} - 1))"
            text = f"min(max({args[0]}, -{limit}), {limit} - 1)"
        else:
            text = _FORMS[item.kind].format(*args)
        return f"v{number} = {text}"

    def _value(self, number: int) -> str:
        """Return how an instruction's value is written where it is read."""
        item = self.code.instructions[number]
        if item.kind == "number":
            return str(item.value) if item.value >= 0 else f"({item.value})"
        if item.kind == "parameter":
            place = {"shared": "", "channel": " + c", "mode": " + c * modes + n", "entry": ""}
            return f"p[o{item.value}{place[item.axis]}]"
        return f"r{number}" if item.kind in ("total", "largest") else f"v{number}"

    def _kinds(self, number: int) -> set[str]:
        return {self.code.instructions[n].kind for n in self.used[number]}

    def _has_modes(self) -> bool:
        return any(item.axis == "mode" for item in self.code.instructions)


def _ancestors(code: Code) -> list[set[int]]:
    """Return for each instruction itself and all it depends on."""
    found: list[set[int]] = []
    for number, item in enumerate(code.instructions):
        found.append({number}.union(*(found[arg] for arg in item.args)))
    return found


def _indented(lines: Iterable[str], levels: int) -> Iterator[str]:
    return ("    " * levels + line for line in lines)
