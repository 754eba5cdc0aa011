"""Print an equation as a kernel of 64-bit floats in vectors, and tell where floats are exact.

Tensors are flat, (rows, stride), rows of a sample following each other; whole vectors are computed,
what the columns beyond the channels hold is nobody's business. Parameters follow a header of as
many offsets as there are: one number, or one per channel (padded to the stride), or per entry of a
table. States are (samples, states, stride).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.derive.dyadic import Dyadic, Exact, exact
from neurossm.derive.forms import Coefficient, Form, Lowered, NotLinearError, Variable, constant
from neurossm.program.bounds import Reach
from neurossm.program.code import code_of
from neurossm.program.fields import cached
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval

DOUBLE = 1 << 53
ARGUMENTS = "x, y, out, states, p, samples, steps, channels, stride, state_stride"
_CALLS = {"minimum": "lesser", "maximum": "greater", "greater": "exceeds", "select": "choose"}


class FloatKernel:
    """The float kernel of a type of operation: its source, and an operation's parameters for it."""

    def __init__(self, kind: type[Op], lowered: Lowered) -> None:
        self.kind, self.lowered = kind, lowered
        self.states = [state.name for state in kind.states]
        self._slots: dict[int, int] = {}  # by id of the coefficient
        self.coefficients: list[Coefficient] = []
        self._body = [self._statement(n, v) for n, v in enumerate(lowered.variables)]

    def source(self, name: str) -> str:
        """Return a function `name` of `ARGUMENTS` that returns how many states it clipped."""
        return "\n".join(self._lines(name)) + "\n"

    def parameters(self, op: Op, stride: int, multiple: int) -> FloatArray:
        """Return the header and the parameters, each at a multiple of so many words."""
        parts: list[FloatArray] = []
        place, header = _up(len(self.coefficients), multiple), []
        for coefficient in self.coefficients:
            values = np.atleast_1d(coefficient.of(op).floats())
            size = stride if coefficient.axis == "channel" else _up(values.size, multiple)
            if coefficient.axis == "channel":
                values = np.broadcast_to(values, (op.out.channels,))
            parts.append(np.concatenate([values, np.zeros(size - values.size)]))
            header.append(float(place))
            place += size
        room = np.zeros(_up(len(header), multiple) - len(header))
        return np.concatenate([np.array(header, np.float64), room, *parts])

    def is_exact(self, op: Op, inputs: Sequence[Interval]) -> bool:
        """Tell whether floats hold every value of the kernel, for inputs in these intervals."""
        reaches = op.reaches(*inputs)
        return all(self._holds(op, variable, reaches) for variable in self.lowered.variables)

    def _holds(self, op: Op, variable: Variable, reaches: Sequence[Reach]) -> bool:
        own = exact(reaches[variable.number].largest())
        forms = [variable.form] if variable.form else list(variable.operands)
        return bool((own < DOUBLE).all()) and all(self._sums(op, form, reaches) for form in forms)

    def _sums(self, op: Op, form: Form, reaches: Sequence[Reach]) -> bool:
        """Tell whether the terms of a form, added in any order, stay below 2**53 units."""
        terms: list[Dyadic] = [form.constant.of(op)]
        entries = form.constant.axis == "entry"
        for number, coefficient in form.terms:
            largest = exact(reaches[self.lowered.variables[number].number].largest())
            entries = entries or coefficient.axis == "entry"
            terms.append(coefficient.of(op) * Dyadic.of(_peak(largest, entries)))
        if entries:  # any entry may meet any channel
            terms = [Dyadic(np.atleast_1d(t.mantissa), np.atleast_1d(t.exponent)) for t in terms]
        finest: Exact = exact(0)
        for term in terms:
            finest = np.maximum(finest, term.exponent)
        total: Any = exact(0)
        for term in terms:
            total = total + abs(term.in_units(finest))
        return bool(np.all(total < DOUBLE))

    def _lines(self, name: str) -> Iterator[str]:
        yield f"def {name}({ARGUMENTS}):"
        yield "    count = splat(0.0)"
        for slot, coefficient in enumerate(self.coefficients):
            yield f"    o{slot} = int(p[{slot}])"
            if coefficient.axis == "shared":
                yield f"    s{slot} = splat(p[o{slot}])"
            if coefficient.axis == "entry":
                yield f"    t{slot} = p[o{slot}:]"
        yield "    for sample in range(samples):"
        if self.states:
            yield "        for c in range(0, stride, LANES):"
            yield from ("            " + line for line in self._with_states())
        else:
            yield "        begin = sample * steps * stride"
            yield "        for row in range(begin, begin + steps * stride, stride):"
            yield "            for c in range(0, stride, LANES):"
            for line in [*self._body, f"store(out, row + c, v{self.lowered.result})"]:
                yield from ("                " + part for part in line.split("\n"))
        yield "    return int(total(count))"

    def _with_states(self) -> Iterator[str]:
        """Yield one vector of channels through time, its states in registers."""
        yield "valid = lanes_below(channels - c)"
        yield "at = sample * state_stride + c"
        for index, name in enumerate(self.states):
            yield f"state_{name} = load(states, at + {index} * stride)"
        yield "for t in range(steps):"
        yield "    row = (sample * steps + t) * stride"
        for line in self._body:
            yield from ("    " + part for part in line.split("\n"))
        yield f"    store(out, row + c, v{self.lowered.result})"
        for name, number in self.lowered.states.items():
            yield f"    state_{name} = v{number}"
        for index, name in enumerate(self.states):
            yield f"store(states, at + {index} * stride, state_{name})"

    def _statement(self, number: int, variable: Variable) -> str:
        if variable.kind == "input":
            return f"v{number} = load({'xy'[variable.value]}, row + c)"
        if variable.kind == "state":
            return f"v{number} = state_{variable.name}"
        if variable.form is not None:
            text = self._sum(variable.form)
            return f"v{number} = floor({text})" if variable.form.floored else f"v{number} = {text}"
        operands = [self._operand(form) for form in variable.operands]
        if variable.kind == "saturated":
            low, high = self._limits(variable.operands[1].constant)
            return (
                f"v{number} = clip({operands[0]}, {low}, {high})\n"
                f"count = fma(valid, differs({operands[0]}, v{number}), count)"
            )
        call = "mul" if variable.kind == "mul" else _CALLS[variable.kind]
        return f"v{number} = {call}({', '.join(operands)})"

    def _limits(self, bits: Coefficient) -> tuple[str, str]:
        """Return the least and the greatest number of a width."""

        def limit(op: Op, sign: int) -> Dyadic:
            half = 1 << (int(bits.of(op).mantissa) - 1)
            return Dyadic.of(-half if sign < 0 else half - 1)

        low = Coefficient("shared", lambda op: limit(op, -1))
        high = Coefficient("shared", lambda op: limit(op, 1))
        return self._load(low), self._load(high)

    def _operand(self, form: Form) -> str:
        return f"v{form.terms[0][0]}" if form.terms else self._load(form.constant)

    def _sum(self, form: Form) -> str:
        """Return products and sums, innermost the constant."""
        text = None if form.constant.unit == 0 else self._load(form.constant)
        for number, coefficient in reversed(form.terms):
            if coefficient.unit == 1:
                text = f"v{number}" if text is None else f"add(v{number}, {text})"
            elif text is None:
                text = f"mul({self._load(coefficient)}, v{number})"
            else:
                text = f"fma({self._load(coefficient)}, v{number}, {text})"
        return text or self._load(constant(0))

    def _load(self, coefficient: Coefficient) -> str:
        if id(coefficient) not in self._slots:
            self._slots[id(coefficient)] = len(self.coefficients)
            self.coefficients.append(coefficient)
        slot = self._slots[id(coefficient)]
        if coefficient.axis == "shared":
            return f"s{slot}"
        if coefficient.axis == "entry":
            return f"gather(t{slot}, v{coefficient.index})"
        return f"load(p, o{slot} + c)"


@cached
def float_kernel(kind: type[Op]) -> FloatKernel | None:
    """Return the float kernel of a type of operation, None where its equation has no such form."""
    step = kind.traced()
    if step is None:
        return None
    try:
        return FloatKernel(kind, Lowered(code_of(step)))
    except NotLinearError:
        return None


def _peak(largest: Exact, entries: bool) -> Exact:
    return exact(largest.max()) if entries and largest.ndim else largest


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
