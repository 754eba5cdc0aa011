"""Numbers of the instructions; X_... are those that work on 64-bit integers.

Those of kernels that are derived from equations follow: see `derived`.
"""

from __future__ import annotations

LOAD = 0
X_LOAD = 1
TO_FLOAT = 2
TO_INT = 3
LAYERNORM = 4
EMBED = 5
X_EMBED = 6
BYTE_DENSE = 7
SHORT_DENSE = 8
SINGLE_DENSE = 9
DENSE = 10
X_DENSE = 11
RECUR = 12
ACCUMULATE = 13
X_ACCUMULATE = 14
COUNT = 15
X_COUNT = 16

NAMES = {value: name for name, value in dict(globals()).items() if isinstance(value, int)}
FIRST_DERIVED = 32
"""From here on, even numbers are derived kernels of floats, odd ones of integers."""
