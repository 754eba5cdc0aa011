"""Kernels printed from the equations of all operations, and the choice among them by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurossm.derive import floats, integers
from neurossm.engine.cpu.kernels import integers as primitives
from neurossm.engine.cpu.kernels import kinds, simd
from neurossm.engine.cpu.kernels.jit import kernel
from neurossm.program.operation import Op
from neurossm.program.operations import OP_TYPES

_SIMD = (
    *("LANES", "add", "choose", "clip", "differs", "exceeds", "floor", "fma", "gather", "greater"),
    *("lanes_below", "lesser", "load", "mul", "splat", "store", "total"),
)


def _numbers() -> Mapping[type[Op], int]:
    """Return a number for each type of operation that has an equation: that of its float kernel."""
    kinds_with_equation = [kind for kind in OP_TYPES.values() if kind.traced() is not None]
    return {kind: kinds.FIRST_DERIVED + 2 * i for i, kind in enumerate(kinds_with_equation)}


NUMBERS = _numbers()
NAMES = kinds.NAMES | {
    number + in_integers: prefix + kind.__name__.upper()
    for kind, number in NUMBERS.items()
    for in_integers, prefix in enumerate(("", "X_"))
}
"""Names of all instructions, for people."""


def float_number(kind: type[Op]) -> int:
    """Return the number of a type's kernel in floats."""
    return NUMBERS[kind]


def integer_number(kind: type[Op]) -> int:
    """Return the number of a type's kernel in integers."""
    return NUMBERS[kind] + 1


def _sources() -> Iterator[tuple[int, str, str]]:
    """Yield number, name and source of every kernel."""
    for kind, number in NUMBERS.items():
        word = kind.__name__.lower()
        in_floats = floats.float_kernel(kind)
        if in_floats is not None:
            yield number, f"float_{word}", in_floats.source(f"float_{word}")
        yield number + 1, f"int_{word}", integers.kernel_source(f"int_{word}", kind)


def _choice(name: str, arguments: str, kernels: list[tuple[int, str]]) -> str:
    """Return the source of a function that calls the kernel of a number."""
    lines = [f"def {name}(kind, {arguments}):"]
    for number, called in kernels:
        lines += [f"    if kind == {number}:", f"        return {called}({arguments})"]
    return "\n".join([*lines, "    return 0", ""])


def _compiled(source: str, names: dict[str, Any], name: str) -> Any:
    exec(compile(source, f"<derived {name}>", "exec"), names)
    names[name] = kernel(names[name])
    return names[name]


SOURCES = tuple(_sources())
_NAMES: dict[str, Any] = {word: getattr(simd, word) for word in _SIMD}
_NAMES |= {"int64": np.int64, "rshift": primitives.rshift, "bit_length": primitives.bit_length}
for _, _name, _source in SOURCES:
    _compiled(_source, _NAMES, _name)

_FLOATS = [(number, name) for number, name, _ in SOURCES if number % 2 == 0]
_INTEGERS = [(number, name) for number, name, _ in SOURCES if number % 2 == 1]
run_floats: Any = _compiled(_choice("run_floats", floats.ARGUMENTS, _FLOATS), _NAMES, "run_floats")
"""`run_floats(kind, ...)`: the kernel of an even number; see `neurossm.derive.floats`."""
run_integers: Any = _compiled(
    _choice("run_integers", integers.ARGUMENTS, _INTEGERS), _NAMES, "run_integers"
)
"""`run_integers(kind, ...)`: the kernel of an odd number; see `neurossm.derive.integers`."""
