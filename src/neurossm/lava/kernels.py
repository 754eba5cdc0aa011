"""Operations as machine code: their equations' kernels, compiled for single steps."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from neurossm.derive.integers import kernel_source
from neurossm.jit import compiled
from neurossm.program.operation import Op

_PRIMITIVES = """
def rshift(p, k):
    if k > 0:
        return (p + (int64(1) << (k - 1))) >> k
    return p << -k

def bit_length(value):
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits
"""
_FLAT = "int64[::1]"
_TYPES = ", ".join([_FLAT] * 6 + ["int64"] * 7)


@lru_cache(maxsize=1)
def saturate() -> Callable[..., int]:
    """Return a function of x (C), low, high that clamps in place and counts what that changes."""
    return compiled(_saturate, signature=f"int64({_FLAT}, int64, int64)")


def _saturate(x: Any, low: int, high: int) -> int:
    count = 0
    for c in range(x.size):
        value = min(max(x[c], low), high)
        if value != x[c]:
            count += 1
        x[c] = value
    return count


def _kernel(kind: type[Op]) -> Callable[..., int]:
    # Numba keeps machine code beside the file of a function: that of the operation, under a name
    # that changes with the text.
    text = _PRIMITIVES + kernel_source("kernel", kind)
    name = f"{kind.__name__}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    space: dict[str, Any] = {"__name__": kind.__module__, "int64": np.int64}
    source = text.replace("def kernel(", f"def {name}(")
    exec(compile(source, inspect.getfile(kind), "exec"), space)
    for primitive in ("rshift", "bit_length"):
        space[primitive] = compiled(space[primitive])
    made: Callable[..., int] = compiled(space[name], signature=f"int64({_TYPES})")
    return made


kernel: Any = lru_cache(maxsize=256)(_kernel)
"""`kernel(kind)`: the compiled kernel of a type of operation with an equation.

See `neurossm.derive.integers` for its arguments."""
