"""A translation unit in the making: parameters, functions, and the calls of one step.

Functions whose text is equal are written once: operations of one kind with parameters of the same
types share one, which keeps programs of many equal blocks small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.c.numbers import CType, narrowest_of


@dataclass(frozen=True, eq=False)
class Parameter:
    """A constant array: its name in C, its type, its numbers, and what they are."""

    name: str
    kind: CType
    values: NDArray[Any]
    what: str

    @property
    def bytes(self) -> int:
        """What it takes."""
        return self.kind.bytes * self.values.size


@dataclass(frozen=True)
class CArgument:
    """What a function takes: its declaration, and what it is called with."""

    declaration: str
    value: str


@dataclass(frozen=True, eq=False)
class Member:
    """An array in the state: its name, type and size, and the operation it is of.

    One `per_step` holds as many rows as a chunk has steps.
    """

    name: str
    kind: CType
    size: int
    owner: str = ""
    per_step: bool = False

    @property
    def bytes(self) -> int:
        """What it takes, for one step."""
        return self.kind.bytes * self.size


@dataclass
class TranslationUnit:
    """What has been written so far."""

    parameters: list[Parameter] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    functions: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    vectors: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    tallies: list[str] = field(default_factory=list)
    parameter_bytes: dict[str, int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _known: dict[tuple[str, bytes], Parameter] = field(default_factory=dict)

    def parameter(
        self, owner: str, what: str, values: NDArray[Any], least: CType | None = None
    ) -> Parameter:
        """Add numbers in their narrowest type, or in `least`, which holds them, if no wider."""
        values = np.ascontiguousarray(values).reshape(-1)
        kind = narrowest_of(values)
        if least is not None and kind.bits <= least.bits:  # never unsigned for signed
            kind = least
        key = (kind.name, values.astype(np.int64).tobytes())
        if key not in self._known:
            made = Parameter(f"p{len(self.parameters)}", kind, values, f"{owner}: {what}")
            self.parameters.append(made)
            self._known[key] = made
            self.parameter_bytes[owner] = self.parameter_bytes.get(owner, 0) + made.bytes
        return self._known[key]

    def member(
        self, kind: CType, size: int, owner: str, name: str, *, per_step: bool = False
    ) -> Member:
        """Add an array to the state."""
        made = Member(name, kind, size, owner, per_step)
        self.members.append(made)
        return made

    def tally(self, name: str) -> str:
        """Return where what is clipped of a tensor is counted."""
        if name not in self.tallies:
            self.tallies.append(name)
        return f"&s->clipped[{self.tallies.index(name)}]"

    def call(self, stem: str, arguments: Sequence[CArgument], body: Iterable[str]) -> None:
        """Add a function, or find an equal one, and call it."""
        declared = ", ".join(argument.declaration for argument in arguments)
        lines = "".join(f"{line}\n" for line in body)
        text = f"({declared})\n{{\n{lines}}}\n"
        key = f"{stem}{text}"
        if key not in self.functions:
            number = self._counts.get(stem, 0)
            self._counts[stem] = number + 1
            self.functions[key] = f"{stem}_{number}"
        values = ", ".join(argument.value for argument in arguments)
        self.calls.append(f"{self.functions[key]}({values});")

    def definitions(self) -> list[str]:
        """Return the functions' text."""
        stems = ((name.rpartition("_")[0], key, name) for key, name in self.functions.items())
        return [f"static void {name}{key[len(stem) :]}" for stem, key, name in stems]


def vector_type(kind: CType, lanes: int) -> tuple[str, str]:
    """Return the name of a vector of integers that may lie anywhere, and its definition."""
    name = f"{kind.name[:-2]}x{lanes}"
    attributes = f"vector_size({kind.bytes * lanes}), aligned({kind.bytes}), may_alias"
    return name, f"typedef {kind.name} {name} __attribute__(({attributes}));"


def filled(size: int, block: int, first: str) -> str:
    """Return how many of a block's places are used, the block that begins at `first` of `size`."""
    if size <= block:
        return str(size)
    if size % block == 0:
        return str(block)
    return f"{size} - {first} < {block} ? {size} - {first} : {block}"


def _choice(name: str, sign: str) -> dict[str, str]:
    return {
        f"{name}{bits}": f"""\
static int{bits}_t {name}{bits}(int{bits}_t a, int{bits}_t b)
{{
    return a {sign} b ? a : b;
}}
"""
        for bits in (32, 64)
    }


def _either(bits: int) -> dict[str, str]:
    kind = f"int{bits}_t"
    text = f"""\
/* To the right to nearest, halves up, for k > 0; else to the left. */
static {kind} either{bits}({kind} p, int32_t k)
{{
    return k > 0 ? ((p >> (k - 1)) + 1) >> 1 : p * (({kind})1 << -k);
}}
"""
    return {f"either{bits}": text}


HELPERS = {
    **_choice("lesser", "<"),
    **_choice("greater", ">"),
    **_either(32),
    **_either(64),
    "bit_length": """\
static int32_t bit_length(int64_t a)
{
    int32_t bits = 0;
    while (a > 0) {
        a >>= 1;
        ++bits;
    }
    return bits;
}
""",
}
"""Functions that equations call."""
