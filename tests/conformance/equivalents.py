"""The mutants of equations that change no integer, each with the proof that it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from neurossm.program import LayerNorm
from neurossm.program.expression import Expression, Step

_LEFT = "an SSM's input is shifted left only, as input_shift >= -pole_shift: nothing is rounded"
_NOTHING = "where V < 2 no channel deviates, as deviations sum to 0: any root is multiplied by 0"
_EPS = "eps is below 2^52: from 52 bits on, it is shifted to 0"
_SQUARE = "a square is no 2^15 (an odd power of two) and no 2^15 - 1 (7 modulo 8) modulo 2^16"
_ALL = "no v of [2^26, 2^28] leads to another root: all were tried, see `roots`"
_NEWTON = "a Newton step never exceeds 1 / sqrt: roots are at most 2^17, the estimate 119767"
_LEAST = "the last root is at least 2^16: all were tried, see `roots`"

REASONS = {
    "SSM 5, rshift: rounded down": _LEFT,
    "SSM 5, rshift: halves down": _LEFT,
    "LayerNorm 13, minimum: 61 for its argument 1": _EPS,
    "LayerNorm 16, greater: or equal": _NOTHING,
    "LayerNorm 16, greater: by two": _NOTHING,
    "LayerNorm 16, greater: 1 for its argument 1": _NOTHING,
    "LayerNorm 16, greater: -1 for its argument 1": _NOTHING,
    "LayerNorm 17, maximum: only the first": _NOTHING,
    "LayerNorm 17, maximum: 2 for its argument 1": _NOTHING,
    "LayerNorm 17, maximum: 0 for its argument 1": _NOTHING,
    **{f"LayerNorm {n}, mul: one more": _SQUARE for n in (27, 34, 41)},
    **{f"LayerNorm {n}, rshift: halves down": _SQUARE for n in (28, 35, 42)},
    **{f"LayerNorm {n}, mul: one more": _ALL for n in (24, 29, 36, 39, 46)},
    "LayerNorm 25, rshift: halves down": _ALL,
    "LayerNorm 26, sub: promised to be smaller": _NEWTON,
    **{f"LayerNorm {n}, rshift: promised to be smaller": _NEWTON for n in (33, 40, 47)},
    "LayerNorm 47, rshift: promised to be larger": _LEAST,
}
_EVEN = "710 and 1973790 are even: a product of them is no half less one"
_POWER = "a power is at most 2^40: from 42 bits on it is shifted to 0"
_SHARES = "no v of [2^27, 2^28] leads to another reciprocal: all were tried, see `reciprocals`"
REASONS |= {
    "Softmax 11, mul: one more": _EVEN,
    "Softmax 22, mul: one more": _EVEN,
    "Softmax 16, minimum: 61 for its argument 1": _POWER,
    "Softmax 23, rshift: halves down": _SHARES,
    **{f"Softmax {n}, mul: one more": _SHARES for n in (25, 28, 30, 33, 35, 38)},
}
TRIED_SHARES = {name for name, reason in REASONS.items() if reason == _SHARES}
"""Those that `reciprocals` tells apart from others."""
TRIED = {name for name, reason in REASONS.items() if reason == _ALL}
"""Those that `roots` tells apart from others."""


def scaled_power(step: Step) -> Expression:
    """Return v, of which a LayerNorm takes the inverse root."""
    found = [e for e in _parts(root_of(step)) if e.known == (1 << 26, 1 << 28)]
    return found[0]


def root_of(step: Step) -> Expression:
    """Return R of `rshift(gain * select(V > 0, rshift(d' R, ...), 0), shift) + offset`."""
    normal = step.result.args[0].args[0].args[1]
    return normal.args[1].args[0].args[1]


def _parts(e: Expression) -> Iterator[Expression]:
    yield e
    for part in e.args:
        yield from _parts(part)


def roots(step: Step, v: np.ndarray) -> np.ndarray:
    """Return R for all v, from the equation of a LayerNorm that computes v as it should."""
    return _computed(step, v)[0]


def reciprocals(step: Step, v: np.ndarray) -> np.ndarray:
    """Return R for all v, from the equation of a Softmax that computes v as it should."""
    done: dict[int, np.ndarray] = {}

    def value(e: Expression) -> np.ndarray:
        if e.kind == "number":
            return np.asarray(e.value)
        if e.label == "v":
            return v
        if id(e) not in done:
            done[id(e)] = _PRIMITIVES[e.kind](*map(value, e.args))
        return done[id(e)]

    return value(step.result.args[0].args[1])


def halfway(step: Step, v: np.ndarray) -> np.ndarray:
    """Return the v of which some product before a shift is a half, or one below it.

    For all others, neither one more in a product nor halves rounded down change anything.
    """
    return v[_computed(step, v)[1]]


def _computed(step: Step, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R, and where some product was a half or one below it."""
    traced = LayerNorm.traced()
    assert traced is not None
    done: dict[int, np.ndarray] = {id(scaled_power(traced)): v}
    halves = np.zeros(v.shape, bool)

    def value(e: Expression) -> np.ndarray:
        if e.kind == "number":
            return np.asarray(e.value)
        if id(e) not in done:
            a, b = map(value, e.args)
            if e.kind == "rshift":
                half = 1 << int(b) >> 1
                rest = a & (2 * half - 1)
                np.logical_or(halves, (rest == half) | (rest == half - 1), out=halves)
            done[id(e)] = _PRIMITIVES[e.kind](a, b)
        return done[id(e)]

    return value(root_of(step)), halves


_PRIMITIVES: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "greater": np.greater,
    "rshift": lambda p, k: (p + (1 << int(k) >> 1)) >> k,
}
