"""Numbers of the instructions; X_... are those that work on 64-bit integers."""

from __future__ import annotations

LOAD = 0
X_LOAD = 1
TO_FLOAT = 2
TO_INT = 3
AFFINE = 4
X_AFFINE = 5
SPIKE = 6
X_SPIKE = 7
TERNARY = 8
X_TERNARY = 9
TABLE = 10
X_TABLE = 11
PRODUCT = 12
X_PRODUCT = 13
ADD = 14
X_ADD = 15
LAYERNORM = 16
X_LAYERNORM = 17
EMBED = 18
X_EMBED = 19
BYTE_DENSE = 20
SHORT_DENSE = 21
SINGLE_DENSE = 22
DENSE = 23
X_DENSE = 24
RECUR = 25
X_RECUR = 26
ACCUMULATE = 27
X_ACCUMULATE = 28
COUNT = 29
X_COUNT = 30

NAMES = {value: name for name, value in dict(globals()).items() if isinstance(value, int)}
