"""The primitives on 64-bit integers that Python's operators do not give."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.cpu.kernels.jit import inlined, kernel

_ONE = np.int64(1)


@inlined
def rshift(p: Any, k: Any) -> Any:
    """Shift to nearest, halves up; a negative k shifts left."""
    if k > 0:
        return (p + (_ONE << (k - 1))) >> k
    return p << -k


@kernel
def bit_length(value: int) -> int:
    """Count the bits of a number of at least 0."""
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits
