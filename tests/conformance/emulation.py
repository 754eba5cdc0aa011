"""NumPy in place of the vectors that the fast engine's kernels are made of.

Numba needs fifteen seconds to compile the kernels; with these functions their sources run as plain
Python, so that a hundred altered engines can be tried in a minute. `test_emulation.py` compares
every function here with the machine instruction it stands for.

A sum of products is exact wherever the engine uses one, so that fusing makes no difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LANES = 8
ROW = 2 * LANES
INTS = np.int32
SINGLES = np.float32
Vector = Any
_GROUPS = {"float32": 1, "int16": 2, "uint8": 4}


def load(array: Any, index: int) -> Vector:
    size = LANES if array.dtype == np.float64 else ROW
    vector = array[index : index + size].copy()
    if vector.size != size:
        raise IndexError(f"a vector at {index} of {array.size}")
    return vector


def store(array: Any, index: int, vector: Vector) -> None:
    array[index : index + vector.size] = vector


def splat(number: Any) -> Vector:
    return np.full(LANES, number, np.float64)


def add(a: Vector, b: Vector) -> Vector:
    return a + b


def mul(a: Vector, b: Vector) -> Vector:
    return a * b


def fma(a: Vector, b: Vector, c: Vector) -> Vector:
    return a * b + c


def fnma(a: Vector, b: Vector, c: Vector) -> Vector:
    return c - a * b


def floor(a: Vector) -> Vector:
    return np.floor(a)


def clip(a: Vector, low: Vector, high: Vector) -> Vector:
    a = np.where(a > low, a, low)
    return np.where(a < high, a, high)


def greater(a: Vector, b: Vector) -> Vector:
    return np.where(a > b, a, b)


def lesser(a: Vector, b: Vector) -> Vector:
    return np.where(a < b, a, b)


def exceeds(a: Vector, b: Vector) -> Vector:
    return np.where(a > b, 1.0, 0.0)


def choose(condition: Vector, a: Vector, b: Vector) -> Vector:
    return np.where(condition != 0, a, b)


def lanes_below(count: int) -> Vector:
    return np.where(np.arange(LANES) < count, 1.0, 0.0)


def gather(array: Any, index: Vector) -> Vector:
    return array[index.astype(np.int64)]


def differs(a: Vector, b: Vector) -> Vector:
    return np.where(a != b, 1.0, 0.0)


def total(a: Vector) -> Any:
    return a.sum()


def largest(a: Vector) -> Any:
    return a.max()


def lower_half(a: Vector) -> Vector:
    return a[:LANES].astype(np.float64)


def upper_half(a: Vector) -> Vector:
    return a[LANES:].astype(np.float64)


def dot(x: Any, i: int, w: Any, j: int, sums: Vector) -> Vector:
    group = _GROUPS[x.dtype.name]
    weights = w[j : j + group * ROW].reshape(ROW, group)
    if group == 1:
        return x[i] * weights[:, 0] + sums
    part = weights.astype(np.int32) * x[i : i + group].astype(np.int32)
    return sums + part.sum(axis=1, dtype=np.int32)


def nothing(x: Any) -> Vector:
    return np.zeros(ROW, SINGLES if x.dtype == np.float32 else INTS)


def group_size(x: Any) -> int:
    return _GROUPS[x.dtype.name]


def pack(out: Any, i: int, vector: Vector) -> None:
    whole = vector if out.dtype == np.float32 else vector.astype(np.int32)
    out[i : i + vector.size] = whole.astype(out.dtype)


def kernel(function: Any) -> Any:
    """Stand for a compiler that leaves everything as it is."""
    return function


inlined = entry = kernel


def sources_digest(*derived: str) -> str:
    return ""


def exports() -> dict[str, dict[str, Any]]:
    """Return the names of the three modules that this one replaces."""
    names = {name: value for name, value in globals().items() if not name.startswith("_")}
    return {
        "neurossm.engine.cpu.kernels.simd": names,
        "neurossm.engine.cpu.kernels.dot": names | {"FAST_BYTES": True, "FAST_SHORTS": True},
        "neurossm.engine.cpu.kernels.jit": names,
    }
