"""Print an equation as a kernel of 64-bit integers, for Numba: word for word what is defined.

A kernel runs one operation over `samples` samples of `steps` steps each. Tensors are flat, (rows,
stride), a row being one step of one sample. The integers of its parameters follow a header of as
many offsets as there are parameters; states are (samples, H, N, states), N = 1 without modes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from neurossm.arrays import IntArray
from neurossm.derive.layout import (
    REDUCTIONS,
    Begin,
    Compute,
    Gather,
    Loop,
    Node,
    Write,
    layout,
)
from neurossm.program.code import Instruction, code_of
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
    """Prints an equation's instructions in loops over channels and modes."""

    def __init__(self, kind: type[Op], step: Step) -> None:
        self.code = code_of(step)
        self.states = [state.name for state in kind.states]

    def lines(self, name: str) -> Iterator[str]:
        """Yield the function."""
        yield f"def {name}({ARGUMENTS}):"
        yield "    clipped = 0"
        for number in range(len(self.code.parameters)):
            yield f"    o{number} = p[{number}]"
        yield "    for sample in range(samples):"
        yield "        for t in range(steps):"
        yield "            row = (sample * steps + t) * stride"
        for node in layout(self.code):
            yield from _indented(self._node(node), 3)
        yield "    return clipped"

    def _node(self, node: Node) -> Iterator[str]:
        if isinstance(node, Loop):
            yield "for n in range(modes):" if node.axis == "mode" else "for c in range(channels):"
            for part in node.body:
                yield from _indented(self._node(part), 1)
        elif isinstance(node, Compute):
            yield from self._compute(node.number)
        elif isinstance(node, Begin):
            largest = self.code.instructions[node.number].kind == "largest"
            yield f"{self._value(node.number)} = {'-(1 << 62)' if largest else '0'}"
        elif isinstance(node, Gather):
            yield self._gather(self._value(node.number), self._value(node.source), node)
        elif isinstance(node, Write):
            yield f"out[row + c] = {self._value(node.number)}"
        else:
            yield from self._keep("c * modes + n" if node.axis == "mode" else "c")

    def _gather(self, so_far: str, value: str, node: Gather) -> str:
        if self.code.instructions[node.number].kind == "largest":
            return f"{so_far} = max({so_far}, {value})"
        return f"{so_far} += {value}"

    def _keep(self, place: str) -> Iterator[str]:
        """Yield what keeps and records the next states."""
        count = len(self.states)
        for index, name in enumerate(self.states):
            value = self._value(self.code.states[name])
            yield f"at = sample * state_stride + ({place}) * {count} + {index}"
            yield f"states[at] = {value}"
            yield "if record.size > 0:"
            yield f"    at = (sample * steps + t) * room + ({place}) * {count} + {index}"
            yield f"    record[at] = {value}"

    def _compute(self, number: int) -> Iterator[str]:
        item = self.code.instructions[number]
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
        return f"r{number}" if item.kind in REDUCTIONS else f"v{number}"


def _indented(lines: Iterable[str], levels: int) -> Iterator[str]:
    return ("    " * levels + line for line in lines)
