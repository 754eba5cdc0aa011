"""Lower a program to one step in C: where each tensor lies, and which functions are called.

Tensors lie in arrays of the state, each of one type; an array is used again once nobody reads what
it holds. What has an equation is printed by `equations`; what combines channels with weights is
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np

from neurossm.c import recurrence
from neurossm.c.equations import EquationPrinter, Storage
from neurossm.c.numbers import CType, ends, literal, narrowest, working
from neurossm.c.spikes import SpikingDense, padded
from neurossm.c.unit import CArgument, Member, TranslationUnit, vector_type
from neurossm.derive.exactness import sum_reach
from neurossm.errors import LimitError, UnsupportedError
from neurossm.program import (
    SSM,
    Dense,
    Embedding,
    Input,
    Interval,
    Op,
    Program,
    Readout,
    State,
    limits,
)
from neurossm.program.bounds import Reach
from neurossm.program.certificate import certify


@dataclass(frozen=True, eq=False)
class CTensor:
    """A tensor, or a state, as C holds it: an expression for its first number, type and size.

    `shown` is how it is shown to whoever watches, without its number.
    """

    name: str
    place: str
    kind: CType
    size: int
    shown: str = ""


class CLowering:
    """A program on its way to C.

    Parameters
    ----------
    program
        The program; after lowering, `unit` holds what was written, `shown` all tensors in the
        order in which they are computed.
    chunked
        Whether functions take several steps at once, whose rows of a tensor follow each other.

    Raises
    ------
    UnsupportedError
        It has an operation that C here cannot do.
    """

    def __init__(self, program: Program, *, chunked: bool = False) -> None:
        self.chunked = chunked
        self.program = provable(program)
        self.unit = TranslationUnit()
        self.shown: list[CTensor] = []
        self.least = 0  # what every number that the readout keeps stands above
        self.tensors: dict[str, CTensor] = {}
        self._free: list[Member] = []
        self._held: dict[str, Member] = {}
        self._last_reader = {
            name: op.name for op in self.program.ops for name in (op.name, *op.inputs)
        }
        for op in self.program.ops:
            lower(op, self)
            self._forget_after(op)

    def interval(self, op: Op, index: int = 0) -> Interval:
        """Return the bounds of an input."""
        return self.program[op.inputs[index]].out.interval

    def output(self, op: Op, kind: CType | None = None) -> tuple[CTensor, CArgument]:
        """Make room for an operation's output; return it and the argument `y` for it."""
        kind = kind or narrowest(*_range(op.out.interval))
        member = self._room(kind, op.out.channels)
        self._held[op.name] = member
        made = CTensor(op.name, f"s->{member.name}", kind, op.out.channels)
        return made, CArgument(f"{kind.name} *restrict y", made.place)

    def input(self, op: Op, index: int = 0) -> tuple[CTensor, CArgument]:
        """Return an input, and the argument `x0` or `x1` for it."""
        tensor = self.tensors[op.inputs[index]]
        return tensor, CArgument(f"const {tensor.kind.name} *x{index}", tensor.place)

    def show(self, tensor: CTensor) -> None:
        """Show a tensor or a state to whoever watches."""
        rows = " * steps" if self.chunked and tensor.name in self.tensors else ""
        plain = f"SHOW(@, {tensor.place}, {tensor.size}{rows}, '{tensor.kind.letter}');"
        self.unit.calls.append((tensor.shown or plain).replace("@", str(len(self.shown))))
        self.shown.append(tensor)

    def call(
        self, stem: str, arguments: Sequence[CArgument], body: Iterable[str], **rows: int
    ) -> None:
        """Call a function for every step; `rows` are the sizes of what advances with it."""
        if not self.chunked:
            self.unit.call(stem, arguments, body)
            return
        lines = ["    for (size_t t = 0; t < steps; ++t) {", *(f"    {line}" for line in body)]
        lines += [f"        {name} += {size};" for name, size in rows.items()]
        self.unit.call(stem, [*arguments, STEPS], [*lines, "    }"])

    def finish(self, op: Op, tensor: CTensor) -> None:
        """Hold and show the output of an operation that was called."""
        self.tensors[op.name] = tensor
        self.show(tensor)

    def _room(self, kind: CType, size: int) -> Member:
        fits = [one for one in self._free if one.kind == kind and one.size >= size]
        if fits:
            best = min(fits, key=lambda one: one.size)
            self._free.remove(best)
            return best
        number = sum(one.owner == "" for one in self.unit.members)
        return self.unit.member(kind, size, "", f"t{number}", per_step=True)

    def _forget_after(self, op: Op) -> None:
        """Use the arrays again of what nobody reads any more."""
        for name in dict.fromkeys((*op.inputs, op.name)):
            if self._last_reader[name] == op.name and name in self._held:
                self._free.append(self._held.pop(name))


def provable(program: Program) -> Program:
    """Return a program whose claimed bounds prove its arithmetic, not only what follows from them.

    Claims may be wider than what is true; bounds of intermediate results that follow from them may
    pass 62 bits where the true ones do not.
    """
    try:
        for op in program.ops:
            inputs = [program[name].out.interval for name in op.inputs]
            if op.traced() is None:
                op.bounds(*inputs)
            else:
                op.reaches(*inputs)
    except LimitError:
        return certify(program)
    return program


@singledispatch
def lower(op: Op, to: CLowering) -> None:
    """Write an operation: here, one that has an equation.

    Raises
    ------
    UnsupportedError
        It has none, and nothing by hand.
    """
    if op.traced() is None:
        raise UnsupportedError(
            f"{op.name}: C has no {type(op).__name__} here; run it with --engine reference"
        )
    intervals = [to.interval(op, index) for index in range(op.arity)]
    inputs = [to.input(op, index) for index in range(op.arity)]
    bounds = op.state_bounds(*intervals)
    tensor, y = to.output(op)
    states = [_state(op, state, bounds[state.name], to) for state in op.states]
    storage = Storage([x.kind for x, _ in inputs], tensor.kind, [kept.kind for kept in states])
    printer = EquationPrinter(op, intervals, storage, to.unit)
    body = printer.body()
    arguments = [y, *(argument for _, argument in inputs)]
    for kept, state in zip(states, op.states, strict=True):
        arguments.append(CArgument(f"{kept.kind.name} *restrict {state.name}", kept.place))
    if printer.clips:
        arguments.append(CArgument("uint64_t *clipped", to.unit.tally(op.name)))
    if printer.clips_states:
        arguments.append(CArgument("uint64_t *clipped_states", to.unit.tally(op.state_tally)))
    rows = {"y": tensor.size, **{f"x{i}": x.size for i, (x, _) in enumerate(inputs)}}
    to.call(type(op).__name__.lower(), [*arguments, *printer.parameters], body, **rows)
    for kept in states:
        to.show(kept)
    to.finish(op, tensor)


def _state(op: Op, state: State, bounds: Reach, to: CLowering, room: int = 0) -> CTensor:
    """Make room for a state, which begins at 0; for more integers than it has, if asked."""
    kept = bounds.clipped(*limits(op.width_of(state)))
    kind = narrowest(min(ends(kept.low)[0], 0), max(ends(kept.high)[1], 0))
    size = int(np.prod(op.state_shape(state)))
    member = to.unit.member(kind, room or size, op.name, f"{state.name}_{len(to.shown)}")
    return CTensor(op.state_name(state), f"s->{member.name}", kind, size)


@lower.register
def _(op: Input, to: CLowering) -> None:
    to.finish(op, CTensor(op.name, "x", input_kind(op), op.out.channels))


def input_kind(op: Input) -> CType:
    """Return the type of what is given."""
    return narrowest(*_range(op.out.interval))


@lower.register
def _(op: SSM, to: CLowering) -> None:
    """Take many steps at once in vectors of doubles, where they are asked for and exact."""
    u = to.interval(op)
    if not (to.chunked and recurrence.holds(op, u)):
        lower.dispatch(Op)(op, to)
        return
    x, x0 = to.input(op)
    tensor, y = to.output(op)
    bounds = op.state_bounds(u)
    room = recurrence.size(op)
    states = [_state(op, state, bounds[state.name], to, room) for state in op.states]
    kernel = recurrence.Recurrence(op, x.kind, tensor.kind, [kept.kind for kept in states])
    arguments = [y, x0]
    for kept, state in zip(states, op.states, strict=True):
        arguments.append(CArgument(f"{kept.kind.name} *restrict {state.name}", kept.place))
    parameters, kinds = kernel.parameters(to.unit)
    body = kernel.body(kinds, "CHUNK")
    to.unit.call("ssm", [*arguments, *parameters, STEPS], body)
    for kept in states:
        size = f"{op.out.channels}, {op.modes}, {kernel.modes}, '{kept.kind.letter}'"
        to.show(replace(kept, shown=f"SHOW_MODES(@, {kept.place}, {size});"))
    to.finish(op, tensor)


@lower.register
def _(op: Dense, to: CLowering) -> None:
    """Add up weights of spikes where there are any; of other inputs, products."""
    x, x0 = to.input(op)
    reach = sum_reach(op.weight, to.interval(op))
    ternary = bool(to.interval(op).low.min() < 0)
    if to.program[op.inputs[0]].emits == "spikes":
        tensor, y = to.output(op, narrowest(-reach, reach))
        if to.chunked:
            kernel = SpikingDense(op, tensor.kind, ternary)
            by_input, body = padded(op.weight, kernel.room), kernel.body()
            to.unit.vectors |= dict([vector_type(tensor.kind, kernel.lanes)])
        else:
            by_input, body = op.weight.T, _spiking(op, tensor.kind, ternary)
        least = tensor.kind if to.chunked else None
        weights = to.unit.parameter(op.name, "weight, inputs first", by_input, least)
    else:
        tensor, y = to.output(op)
        weights = to.unit.parameter(op.name, "weight", op.weight)
        body = _dense(op, working(-reach, reach), tensor.kind)
    w = CArgument(f"const {weights.kind.name} *w", weights.name)
    to.call("dense", [y, x0, w], body, y=tensor.size, x0=x.size)
    to.finish(op, tensor)


def _spiking(op: Dense, kind: CType, ternary: bool) -> Iterator[str]:
    """Add, or take off, the weights of what spikes: `y` holds every partial sum."""
    outputs, inputs = op.weight.shape
    signs = [("x0[i] > 0", "+"), *([("x0[i] < 0", "-")] if ternary else [])]
    yield f"    for (size_t o = 0; o < {outputs}; ++o) {{"
    yield "        y[o] = 0;"
    yield "    }"
    yield f"    for (size_t i = 0; i < {inputs}; ++i) {{"
    for condition, sign in signs:
        yield f"        if ({condition}) {{"
        yield f"            for (size_t o = 0; o < {outputs}; ++o) {{"
        yield f"                y[o] = ({kind.name})(y[o] {sign} w[i * {outputs} + o]);"
        yield "            }"
        yield "        }"
    yield "    }"


def _dense(op: Dense, kind: CType, output: CType) -> Iterator[str]:
    outputs, inputs = op.weight.shape
    yield f"    for (size_t o = 0; o < {outputs}; ++o) {{"
    yield f"        {kind.name} sum = 0;"
    yield f"        for (size_t i = 0; i < {inputs}; ++i) {{"
    yield f"            sum += ({kind.name})w[o * {inputs} + i] * ({kind.name})x0[i];"
    yield "        }"
    yield f"        y[o] = ({output.name})sum;"
    yield "    }"


@lower.register
def _(op: Embedding, to: CLowering) -> None:
    _, x0 = to.input(op)
    tensor, y = to.output(op)
    rows = op.weight[: int(to.interval(op).high[0]) + 1]
    weights = to.unit.parameter(op.name, "weight", rows)
    channels = op.out.channels
    body = [
        f"    const {weights.kind.name} *row = w + (size_t)x0[0] * {channels};",
        f"    for (size_t c = 0; c < {channels}; ++c) {{",
        f"        y[c] = ({tensor.kind.name})row[c];",
        "    }",
    ]
    w = CArgument(f"const {weights.kind.name} *w", weights.name)
    to.call("embedding", [y, x0, w], body, y=channels, x0=1)
    to.finish(op, tensor)


@lower.register
def _(op: Readout, to: CLowering) -> None:
    """Keep what is pooled of the last tensor; what is made of it is written by `logits`."""
    x, x0 = to.input(op)
    low, high = _range(to.interval(op))
    reach = max(-low, high) * op.summed_steps
    least = to.least = low if op.pool == "max" else 0  # its memory is 0 at first
    kind = working(-reach, max(reach, high - least))
    to.unit.member(kind, x.size, op.name, "sum")
    keep = {
        "mean": f"sum[c] += ({kind.name})x0[c];",
        "last": f"sum[c] = ({kind.name})x0[c];",
        "none": f"sum[c] = ({kind.name})x0[c];",
        "max": f"const {kind.name} v = ({kind.name})x0[c] - ({literal(least, kind)}); "
        "sum[c] = v > sum[c] ? v : sum[c];",
    }
    body = [
        f"    for (size_t c = 0; c < {x.size}; ++c) {{",
        f"        {keep[op.pool]}",
        "    }",
    ]
    y = CArgument(f"{kind.name} *restrict sum", "s->sum")
    to.call("accumulate", [y, x0], body, x0=x.size)


def logits(op: Readout, unit: TranslationUnit, name: str, above: int) -> list[str]:
    """Return the lines that make logits of what is kept of s->steps steps, and count the clipped.

    `above` is what every number that is kept stands above, see `CLowering`.

    All of it is below 2**62, as the program's certificate says, but for the divisor, below 2**63.
    """
    classes, inputs = op.weight.shape
    weights = unit.parameter(op.name, "weight", op.weight)
    bias = unit.parameter(op.name, "bias", op.bias)
    low, high = limits(op.out.bits)
    kind = CType(64)
    least, most, half = (literal(value, kind) for value in (low, high, 1 << op.shift))
    kept = "(int64_t)s->sum[i]"
    if above:
        kept = f"({kept} + ({literal(above, kind)}))"
    lines = [
        f"const int64_t n = {'(int64_t)s->steps' if op.pool == 'mean' else '1'};",
        "int clipped = 0;",
        "if (s->steps == 0) {",
        "    return -1;",
        "}",
        f"for (size_t k = 0; k < {classes}; ++k) {{",
        f"    int64_t z = (int64_t){bias.name}[k] * n;",
        f"    for (size_t i = 0; i < {inputs}; ++i) {{",
        f"        z += (int64_t){weights.name}[k * {inputs} + i] * {kept};",
        "    }",
        f"    z = floor_divided(2 * z + n * {half}, n * {literal(1 << op.shift + 1, kind)});",
    ]
    if not op.out.proved:
        lines.append(f"    if (z < {least} || z > {most}) {{")
        lines.append("        ++clipped;")
        lines.append(f"        z = z < 0 ? {least} : {most};")
        lines.append("    }")
    lines += [f"    logits[k] = ({name}_logit)z;", "}", "return clipped;"]
    return [f"    {line}" for line in lines]


STEPS = CArgument("size_t steps", "steps")


def _range(interval: Interval) -> tuple[int, int]:
    return ends(interval.low)[0], ends(interval.high)[1]
