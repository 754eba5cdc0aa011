"""The kernels' vectors do what `emulation` does in NumPy, lane by lane; altered ones do not."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

DOUBLES = 8
SINGLES = 16

OUT = "def probe(a, b, c, out):\n    store(out, 0, {})\n"
NUMBER = "def probe(a, b, c, out):\n    out[0] = {}\n"
PACK = "def probe(x, w, c, out):\n    pack(out, 0, load(c, 0))\n    pack(out, 8, load(c, 8))\n"
DOT = (
    "def probe(x, w, c, out):\n"
    "    sums = dot(x, group_size(x), w, 0, dot(x, 0, w, 16 * group_size(x), nothing(x)))\n"
    "    store(out, 0, lower_half(sums))\n"
    "    store(out, 8, upper_half(sums))\n"
)
DOUBLE_PROBES = {
    "load, store": OUT.format("load(a, 0)"),
    "splat": OUT.format("splat(a[0])"),
    "add": OUT.format("add(load(a, 0), load(b, 0))"),
    "mul": OUT.format("mul(load(a, 0), load(b, 0))"),
    "fma": OUT.format("fma(load(a, 0), load(b, 0), load(c, 0))"),
    "fnma": OUT.format("fnma(load(a, 0), load(b, 0), load(c, 0))"),
    "floor": OUT.format("floor(load(c, 0))"),
    "clip": OUT.format("clip(load(a, 0), splat(-3.0), splat(4.0))"),
    "greater": OUT.format("greater(load(a, 0), load(b, 0))"),
    "lesser": OUT.format("lesser(load(a, 0), load(b, 0))"),
    "exceeds": OUT.format("exceeds(load(a, 0), load(b, 0))"),
    "differs": OUT.format("differs(load(a, 0), load(b, 0))"),
    "choose": OUT.format("choose(exceeds(load(a, 0), load(b, 0)), load(b, 0), load(c, 0))"),
    "lanes_below": OUT.format("lanes_below(out.size - 5)"),
    "gather": OUT.format("gather(c, add(load(b, 0), splat(9.0)))"),
    "total": NUMBER.format("total(load(a, 0))"),
    "largest": NUMBER.format("largest(load(a, 0))"),
}
DOT_TYPES = {
    "floats": (np.float32, np.float32),
    "shorts": (np.int16, np.int16),
    "bytes": (np.uint8, np.int8),
}

EDITS = {
    "add": ("simd", 'return _arithmetic("fadd")(a, 2)', 'return _arithmetic("fsub")(a, 2)'),
    "mul": ("simd", 'return _arithmetic("fmul")(a, 2)', 'return _arithmetic("fadd")(a, 2)'),
    "fma": ("simd", '_arithmetic("fmul", "fadd")', '_arithmetic("fmul", "fsub")'),
    "fnma": ("simd", "builder.fsub(args[2], value,", "builder.fsub(value, args[2],"),
    "floor": ("simd", 'f"llvm.floor.v', 'f"llvm.ceil.v'),
    "clip": ("simd", 'fcmp_ordered("<", value, high)', 'fcmp_ordered("<=", high, value)'),
    "greater": ("simd", 'intrinsic(_extreme(">"))', 'intrinsic(_extreme("<"))'),
    "lesser": ("simd", 'intrinsic(_extreme("<"))', 'intrinsic(_extreme(">"))'),
    "exceeds": (
        "simd",
        'fcmp_ordered(">", *args), one, zero',
        'fcmp_ordered(">=", *args), one, zero',
    ),
    "differs": ("simd", 'fcmp_ordered("!=", *args)', 'fcmp_ordered(">", *args)'),
    "choose": (
        "simd",
        'fcmp_unordered("!=", args[0], zero), args[1], args[2]',
        'fcmp_unordered("!=", args[0], zero), args[2], args[1]',
    ),
    "lanes_below": (
        "simd",
        'fcmp_ordered("<", lanes, limit)',
        'fcmp_ordered("<=", lanes, limit)',
    ),
    "gather": (
        "simd",
        "builder.extract_element(positions, at)]",
        "builder.extract_element(positions, ir.Constant(ir.IntType(32), 0))]",
    ),
    "total": ("simd", "result = builder.fadd(result, one)", "result = builder.fadd(one, one)"),
    "largest": ("simd", 'fcmp_ordered(">", one, result)', 'fcmp_ordered("<", one, result)'),
    "splat": (
        "simd",
        "[0] * vector.lanes)\n        return builder.shuffle_vector(first",
        "[1] * vector.lanes)\n        return builder.shuffle_vector(first",
    ),
    "dot of floats": (
        "dot",
        "builder.fadd(product, args[4], flags",
        "builder.fsub(product, args[4], flags",
    ),
    "dot of shorts": (
        "dot",
        '"llvm.x86.avx512.pmaddw.d.512", x, w',
        '"llvm.x86.avx512.pmaddw.d.512", x, x',
    ),
    "dot of bytes": (
        "dot",
        '"llvm.x86.avx512.vpdpbusd.512", total, x, w',
        '"llvm.x86.avx512.vpdpbusd.512", total, w, x',
    ),
    "dot of bytes, slowly": (
        "dot",
        "builder.zext if group == 4 else",
        "builder.sext if group == 4 else",
    ),
    "dot of shorts, slowly": (
        "dot",
        "range(first, group * _WIDE, group)",
        "range(first, _WIDE + first)",
    ),
    "upper half": ("simd", "first = LANES if high else 0", "first = 0"),
    "pack of bytes": (
        "dot",
        "values = builder.trunc(whole, kind)",
        "values = builder.trunc(builder.neg(whole), kind)",
    ),
}
"""By the probe that must notice: file of the kernels, text, replacement."""


def doubles() -> tuple[np.ndarray, ...]:
    """Return whole numbers with equal lanes, and numbers with halves and both signs."""
    rng = np.random.default_rng(0)
    a = rng.integers(-9, 9, 32).astype(float)
    b = rng.integers(-9, 9, 32).astype(float)
    b[:3] = a[:3]
    return a, b, rng.integers(-40, 40, 32) / 4


def run(modules: tuple[Any, ...], source: str, arrays: tuple[Any, ...], jit: Any) -> np.ndarray:
    """Compile a probe with the functions of some modules, and return what it writes."""
    names: dict[str, Any] = {}
    for module in modules:
        names |= vars(module)
    exec(source, names)
    out = arrays[-1].copy()
    jit(names["probe"])(*(array.copy() for array in arrays[:-1]), out)
    return out


@pytest.fixture
def machine(mutation: ModuleType) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Import the kernels' vectors anew, altered."""
    with_edits = []

    def load(*edits: Any, slow: bool = False) -> tuple[Any, Any]:
        if slow:
            edits = (
                *edits,
                mutation.Edit("engine/cpu/kernels/dot.py", '_has("avx512bw")', "False"),
                mutation.Edit("engine/cpu/kernels/dot.py", '_has("avx512vnni")', "False"),
            )
        context = mutation.sandbox(("neurossm.engine",), edits)
        context.__enter__()
        with_edits.append(context)
        simd = importlib.import_module("neurossm.engine.cpu.kernels.simd")
        return simd, importlib.import_module("neurossm.engine.cpu.kernels.dot")

    yield load
    while with_edits:
        with_edits.pop().__exit__(None, None, None)


def probes(kind: str) -> tuple[str, tuple[Any, ...]]:
    """Return a probe's source and its arguments."""
    if kind in DOUBLE_PROBES:
        return DOUBLE_PROBES[kind], (*doubles(), np.zeros(DOUBLES))
    x, w = DOT_TYPES[kind.split(",")[0].rpartition(" ")[2]]
    rng = np.random.default_rng(1)
    low, high = (0, 256) if x == np.uint8 else (-99, 99)
    values = rng.integers(low, high, SINGLES).astype(x)
    if kind.startswith("pack"):
        numbers = rng.integers(low, high, SINGLES).astype(float)
        return PACK, (values, values.astype(w), numbers, np.zeros(SINGLES, x))
    weights = rng.integers(-99, 99, 8 * SINGLES).astype(w)
    return DOT, (values, weights, doubles()[2], np.zeros(SINGLES))


KINDS = (
    *DOUBLE_PROBES,
    *(f"{do} of {kind}" for do in ("dot", "pack") for kind in DOT_TYPES),
    *(f"dot of {kind}, slowly" for kind in ("shorts", "bytes")),
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_equal_numpy(machine: Any, emulation: ModuleType, kind: str) -> None:
    from numba import njit

    source, arrays = probes(kind)
    expected = run((emulation,), source, arrays, lambda function: function)
    found = run(machine(slow=kind.endswith("slowly")), source, arrays, njit)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_altered_vectors_are_noticed(
    machine: Any, emulation: ModuleType, mutation: ModuleType, name: str
) -> None:
    from numba import njit

    file, old, new = EDITS[name]
    kind = "dot of floats" if name == "upper half" else name
    source, arrays = probes(kind)
    expected = run((emulation,), source, arrays, lambda function: function)
    edit = mutation.Edit(f"engine/cpu/kernels/{file}.py", old, new)
    modules = machine(edit, slow=kind.endswith("slowly"))
    if not kind.endswith("slowly") and kind.startswith("dot") and not _fast(modules[1], kind):
        pytest.skip("this processor has no such instruction")
    assert not np.array_equal(run(modules, source, arrays, njit), expected)


def _fast(dot: Any, kind: str) -> bool:
    flags = {"dot of shorts": dot.FAST_SHORTS, "dot of bytes": dot.FAST_BYTES}
    return bool(flags.get(kind, True))


def test_emulation_has_every_function(emulation: ModuleType) -> None:
    """A new vector function needs its line in the emulation."""
    for name in ("simd", "dot", "jit"):
        module = importlib.import_module(f"neurossm.engine.cpu.kernels.{name}")
        names = {n for n, value in vars(module).items() if _is_ours(module, n, value)}
        assert names - set(vars(emulation)) <= {"FAST_BYTES", "FAST_SHORTS"}, name


def _is_ours(module: Any, name: str, value: Any) -> bool:
    """Tell whether kernels may use a name of a module."""
    if name.startswith("_") or name in ("DOUBLES", "Vector", "pointer_to", "llvm_type", "Function"):
        return False
    home = getattr(value, "__module__", None)
    return type(value).__name__ == "_Intrinsic" or home == module.__name__ or isinstance(value, int)
