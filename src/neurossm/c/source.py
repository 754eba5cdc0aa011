"""A program's C: header, source, parameters, a `main` and a Makefile, as text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import neurossm
from neurossm.arrays import IntArray
from neurossm.c.lowering import CLowering, input_kind, logits
from neurossm.c.numbers import INT32, INT64, CType, ends, literal, narrowest
from neurossm.c.texts import comment, definition, string
from neurossm.c.unit import HELPERS, Member
from neurossm.program import Program

MARK = "Emitted by NeuroSSM"
STYLES = ("portable", "vector")
CHUNK = 64
"""Steps that the style "vector" takes at once."""


@dataclass(frozen=True, eq=False)
class CSource:
    """What a program is in C.

    Parameters
    ----------
    name
        What functions and files begin with.
    files
        Text by file name.
    tensors
        What is shown to whoever watches, in order.
    tallies
        Names under which clipped integers are counted, in the order of the state's counters.
    state_bytes, parameter_bytes
        Memory.
    """

    name: str
    files: dict[str, str]
    lowering: CLowering
    tallies: tuple[str, ...]
    state_bytes: int
    parameter_bytes: int


def source_of(program: Program, name: str = "network", style: str = "portable") -> CSource:
    """Return a program in C; see `neurossm.c.emit`."""
    return _SourceWriter(program, name, style == "vector").source()


class _SourceWriter:
    """Puts the parts together."""

    def __init__(self, program: Program, name: str, chunked: bool) -> None:
        self.name, self.upper, self.chunked = name, name.upper(), chunked
        self.lowering = CLowering(program, chunked=chunked)
        self.program, self.unit = self.lowering.program, self.lowering.unit
        self.logits = logits(self.program.readout, self.unit, name, self.lowering.least)
        self.input = input_kind(self.program.input)
        self.check = list(self._check())
        self.logit = _at_least_32(self.program.readout.out.bits)
        self.steps = CType(32 if program.max_steps < 1 << 32 else 64, signed=False)
        counters = [Member("clipped", CType(64, False), len(self.unit.tallies))]
        members = [*counters, *self.unit.members, Member("steps", self.steps, 1)]
        members = [one for one in members if one.size]
        self.members = sorted(members, key=lambda one: -one.kind.bits)
        for per_step, size in ((False, self._fixed_bytes), (True, self._step_bytes)):
            if size % 8:
                name = "step_padding" if per_step else "padding"
                gap = Member(name, CType(8, False), -size % 8, per_step=per_step)
                self.members.append(gap)

    def source(self) -> CSource:
        """Return all files."""
        texts = {
            f"{self.name}.h": self._header(),
            f"{self.name}.c": "\n".join(self._unit()),
            f"{self.name}_parameters.h": self._parameters(),
            "main.c": self._template("main.c", names=self._names()),
            "Makefile": self._template("Makefile"),
        }
        files = {name: marked(name, text, self.program.sha256) for name, text in texts.items()}
        return CSource(
            self.name,
            files,
            self.lowering,
            tuple(self.unit.tallies),
            self._state_bytes,
            self._parameter_bytes,
        )

    @property
    def _state_bytes(self) -> int:
        return self._fixed_bytes + self._chunk * self._step_bytes

    @property
    def _chunk(self) -> int:
        return CHUNK if self.chunked else 1

    @property
    def _fixed_bytes(self) -> int:
        return sum(one.bytes for one in self.members if not one.per_step)

    @property
    def _step_bytes(self) -> int:
        return sum(one.bytes for one in self.members if one.per_step)

    @property
    def _parameter_bytes(self) -> int:
        return sum(one.bytes for one in self.unit.parameters)

    def _header(self) -> str:
        members = "\n".join(f"    {one.kind.name} {self._declared(one)};" for one in self.members)
        return self._template(
            "network.h",
            about=comment(self._about()),
            members=members,
            input=self.input.name,
            letter=self.input.letter,
            logit=self.logit.name,
            channels=self.program.input.out.channels,
            classes=self.program.readout.out.channels,
            max_steps=self.program.max_steps,
            exponent=int(self.program.readout.out.exponent[0]),
            tensors=len(self.lowering.shown),
            tallies=len(self.unit.tallies),
            state_bytes=self._state_size(),
            chunk=template("chunk.h").replace("@CHUNK@", str(CHUNK)) if self.chunked else "",
            parameter_bytes=self._parameter_bytes,
        )

    def _state_size(self) -> str:
        if not self.chunked:
            return f"{self._state_bytes}u"
        return f"({self._fixed_bytes}u + {self.upper}_CHUNK * {self._step_bytes}u)"

    def _declared(self, member: Member) -> str:
        if member.name == "steps":
            return member.name
        chunk = f" * {self.upper}_CHUNK" if self.chunked and member.per_step else ""
        return f"{member.name}[{member.size}{chunk}]"

    def _about(self) -> Iterator[str]:
        """Yield what the header says of the program."""
        op = self.program.input
        yield f"Program {self.program.sha256}"
        yield f"compiled for {self.program.target}, written by NeuroSSM {neurossm.__version__}."
        yield ""
        exponents = _exponents(op.out.exponent)
        yield {
            "uint8": f"A step takes {op.size} bytes.",
            "counts": f"A step takes {op.size} counts, 0 to {op.high:g}.",
            "tokens": f"A step takes the number of a token, 0 to {op.size - 1}.",
            "float": f"A step takes {op.size} integers floor(x * 2^e + 1/2), e = {exponents},",
        }[op.kind]
        if op.kind == "float":
            yield f"for x from {op.low!r} to {op.high!r}."
        yield ""
        yield "Tensors and states, as they are shown to whoever watches; the integer m stands for"
        yield "m * 2^-e:"
        yield ""
        yield from self._tensor_table()
        if self.unit.tallies:
            yield ""
            yield "Integers that did not fit their width are clipped and counted:"
            yield ""
            for number, name in enumerate(self.unit.tallies):
                yield f"  clipped[{number}]  {name}"
        yield ""
        yield "Memory in bytes; parameters are constant:"
        yield ""
        yield from self._memory_table()

    def _tensor_table(self) -> Iterator[str]:
        width = max(len(one.name) for one in self.lowering.shown)
        yield f"  {'':>4}  {'tensor':{width}}  {'type':8}  {'integers':>8}  e"
        for number, one in enumerate(self.lowering.shown):
            recording = self.program.recordings[one.name]
            exponent = recording.op.out.exponent
            if recording.state is not None:
                exponent = recording.op.state_exponent(
                    self.program[recording.op.inputs[0]].out.exponent
                )
            text = f"{one.kind.name:8}  {one.size:8}  {_exponents(exponent)}"
            yield f"  {number:4}  {one.name:{width}}  {text}"

    def _memory_table(self) -> Iterator[str]:
        owners = [op.name for op in self.program.ops]
        states = dict.fromkeys(owners, 0)
        for one in self.members:
            if one.owner:
                states[one.owner] += one.bytes
        rows = [
            (name, self.unit.parameter_bytes.get(name, 0), states[name])
            for name in owners
            if states[name] or self.unit.parameter_bytes.get(name)
        ]
        rest = self._state_bytes - sum(states.values())
        chunk = f", {CHUNK} steps at once" if self.chunked else ""
        rows.append((f"tensors between operations{chunk}", 0, rest))
        rows.append(("all", self._parameter_bytes, self._state_bytes))
        width = max(len(row[0]) for row in rows)
        yield f"  {'':{width}}  {'parameters':>10}  {'state':>10}"
        for name, parameters, state in rows:
            yield f"  {name:{width}}  {parameters:10}  {state:10}"

    def _parameters(self) -> str:
        parts = [definition(one) for one in self.unit.parameters]
        return "#include <stdint.h>\n\n" + "\n".join(parts)

    def _unit(self) -> Iterator[str]:
        yield self._template("head.c")
        if self.chunked:
            yield f"#define CHUNK {self.upper}_CHUNK\n"
        if self.unit.vectors:
            yield self._template("vector.c")
            yield "\n".join((*self.unit.vectors.values(), ""))
        yield from (text for name, text in HELPERS.items() if name in self.unit.helpers)
        yield from self.unit.definitions()
        calls = "\n".join(f"    {line}" for line in self.unit.calls)
        file = "steps.c" if self.chunked else "step.c"
        yield self._template(file, calls=calls, check="".join(self.check), steps=self.steps.name)
        yield self._template("logits.c", logits="\n".join(self.logits))

    def _check(self) -> Iterator[str]:
        """Yield what refuses an input that is beyond the program's bounds, if any can be."""
        spec, kind = self.program.input.out, self.input
        if spec.low.max() <= kind.low and spec.high.min() >= kind.high:
            return
        tests = []
        for sign, what, values in (("<", "least", spec.low), (">", "greatest", spec.high)):
            low, high = ends(values)
            if low == high and (low <= kind.low if sign == "<" else high >= kind.high):
                continue  # the type holds nothing beyond
            bound = literal(low, INT64 if kind.bits == 64 else INT32)
            if low != high:
                bound = f"{self.unit.parameter(self.program.input.name, what, values).name}[c]"
            tests.append(f"x[c] {sign} {bound}")
        beyond = " || ".join(tests)
        if self.chunked:
            beyond = beyond.replace("x[c]", f"x[t * {spec.channels} + c]")
        yield from _refusal(spec.channels, beyond, self.upper, self.chunked)

    def _names(self) -> str:
        return ",\n".join(f"    {string(one.name)}" for one in self.lowering.shown)

    def _template(self, file: str, **values: object) -> str:
        text = template(file)
        values = {"name": self.name, "NAME": self.upper, **values}
        for key, value in reversed(values.items()):
            text = text.replace(f"@{key}@", str(value))
        return text


def _refusal(channels: int, beyond: str, upper: str, chunked: bool) -> Iterator[str]:
    """Yield a loop that returns at the first input beyond its bounds."""
    out = [f"return {upper}_OUT_OF_RANGE;"]
    if chunked:
        out = [f"*status = {upper}_OUT_OF_RANGE;", "return t;"]
    lines = [f"for (size_t c = 0; c < {channels}; ++c) {{", f"    if ({beyond}) {{"]
    lines += [*(f"        {line}" for line in out), "    }", "}"]
    if chunked:
        head = "for (size_t t = 0; t < steps; ++t) {"
        lines = [head, *(f"    {line}" for line in lines), "}"]
    yield from (f"    {line}\n" for line in lines)


def template(file: str) -> str:
    """Return a text of this package."""
    return (Path(__file__).parent / "templates" / file).read_text("utf-8")


def marked(file: str, text: str, program: str) -> str:
    """Return a text under a line that tells whether it was edited since."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    line = f"{MARK} from program {program[:16]}; text {digest}"
    return f"# {line}\n{text}" if file == "Makefile" else f"/* {line} */\n{text}"


def is_untouched(text: str) -> bool:
    """Tell whether a text was emitted and not edited since."""
    first, _, rest = text.partition("\n")
    digest = hashlib.sha256(rest.encode()).hexdigest()[:16]
    return MARK in first and f"text {digest}" in first


def _exponents(values: IntArray) -> str:
    low, high = ends(values)
    return str(low) if low == high else f"{low} to {high}"


def _at_least_32(bits: int) -> CType:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    kind = narrowest(low, high)
    return kind if kind.bits >= 32 else CType(32)
