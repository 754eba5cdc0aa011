"""Intervals of every tensor, derived from docs/fixed-point.md, section 7, alone.

Like the interpreter beside it: plain Python, and no line of the package. Intervals are lists of
(low, high), one for each channel; sums of floats are taken term by term.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor, hypot
from typing import Any

Ends = tuple[int, int]
Interval = list[Ends]

CAP = 2.0**61
TERMS = 1 << 14


def derive(operations: list[dict[str, Any]]) -> dict[str, tuple[Interval, bool]]:
    """Return low and high of every channel, and `proved`, by the operation's name."""
    found: dict[str, tuple[Interval, bool]] = {}
    for op in operations:
        inputs = [found[name][0] for name in op["inputs"]]
        reached = globals()[f"_{op['type'].lower()}"](op, *inputs)
        kept = [_clipped(ends, op["bits"]) for ends in reached]
        found[op["name"]] = (kept, kept == reached)
    return found


def _rshift(p: int, k: int) -> int:
    return (p + (1 << (k - 1))) >> k if k > 0 else p << -k


def _limits(bits: int) -> Ends:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _cut(ends: Ends, low: int, high: int) -> Ends:
    return min(max(ends[0], low), high), min(max(ends[1], low), high)


def _clipped(ends: Ends, bits: int) -> Ends:
    return _cut(ends, *_limits(bits))


def _corners(function: Callable[[int, int], int], x: Ends, y: Ends) -> Ends:
    values = [function(a, b) for a in x for b in y]
    return min(values), max(values)


def _times(x: Ends, y: Ends | int) -> Ends:
    return _corners(lambda a, b: a * b, x, (y, y) if isinstance(y, int) else y)


def _shifted(x: Ends, k: Ends | int) -> Ends:
    return _corners(_rshift, x, (k, k) if isinstance(k, int) else k)


def _plus(*terms: Ends) -> Ends:
    return sum(low for low, _ in terms), sum(high for _, high in terms)


def _minus(x: Ends, y: Ends) -> Ends:
    return x[0] - y[1], x[1] - y[0]


def _input(op: dict[str, Any]) -> Interval:
    if op["kind"] == "uint8":
        return [(0, 255)] * op["size"]
    if op["kind"] == "tokens":
        return [(0, op["size"] - 1)]
    if op["kind"] == "counts":
        return [(0, int(op["high"]))] * op["size"]

    def encoded(x: float, e: int) -> int:
        return floor(Fraction(x) * Fraction(2) ** e + Fraction(1, 2))

    return [(encoded(op["low"], e), encoded(op["high"], e)) for e in op["exponent"]]


def _dense(op: dict[str, Any], x: Interval) -> Interval:
    return [_plus(*(_times(e, w) for e, w in zip(x, row, strict=True))) for row in op["weight"]]


def _embedding(op: dict[str, Any], x: Interval) -> Interval:
    rows = op["weight"][x[0][0] : x[0][1] + 1]
    return [(min(column), max(column)) for column in zip(*rows, strict=True)]


def _affine(op: dict[str, Any], x: Interval) -> Interval:
    return [
        _plus(_shifted(_times(ends, gain), shift), (offset, offset))
        for ends, gain, shift, offset in zip(x, op["gain"], op["shift"], op["offset"], strict=True)
    ]


def _spike(op: dict[str, Any], x: Interval) -> Interval:
    return [
        (int(low > t), int(high > t)) for (low, high), t in zip(x, op["threshold"], strict=True)
    ]


def _ternary(op: dict[str, Any], x: Interval) -> Interval:
    def sign(v: int, t: int) -> int:
        return int(v > t) - int(v < -t)

    return [
        (sign(low, t), sign(high, t)) for (low, high), t in zip(x, op["threshold"], strict=True)
    ]


def _peakternary(op: dict[str, Any], x: Interval) -> Interval:
    least = op["factor"] * max(max(low, -high) for low, high in x) >> op["shift"]
    most = op["factor"] * max(max(high, -low) for low, high in x) >> op["shift"]

    def smallest(low: int) -> int:
        return -1 if low < -least else int(low > most)

    return [(smallest(low), -smallest(-high)) for low, high in x]


def _table(op: dict[str, Any], x: Interval) -> Interval:
    origin, width, last = op["origin"], op["width"], len(op["base"]) - 1

    def value(v: int) -> int:
        i = min(max((v - origin) >> width, 0), last)
        dx = v - origin - i * 2**width
        return op["base"][i] + _rshift(op["slope"][i] * dx, op["slope_shift"])

    found = []
    for low, high in x:
        starts = [origin + i * 2**width for i in range(last + 1)]
        places = [low, high, *starts, *(start - 1 for start in starts[1:])]
        values = [value(v) for v in places if low <= v <= high]
        found.append((min(values), max(values)))
    return found


def _product(op: dict[str, Any], x: Interval, y: Interval) -> Interval:
    return [_shifted(_times(a, b), k) for a, b, k in zip(x, y, op["shift"], strict=True)]


def _add(op: dict[str, Any], x: Interval, y: Interval) -> Interval:
    return [_plus(a, b) for a, b in zip(x, y, strict=True)]


def _relu(op: dict[str, Any], x: Interval) -> Interval:
    return [
        _shifted((max(low, 0), max(high, 0)), k)
        for (low, high), k in zip(x, op["shift"], strict=True)
    ]


def _lif(op: dict[str, Any], x: Interval) -> Interval:
    found = []
    fields = zip(x, op["decay"], op["decay_shift"], op["threshold"], strict=True)
    for (low, high), decay, shift, threshold in fields:
        r = decay * 2.0**-shift
        kept = _clipped((threshold, threshold), op["state_bits"])[0]
        most = ceil(r * max(kept, 0)) + max(high, 0)
        least = 0
        if low < 0:
            least = floor(max((low - 0.5) / (1 - r), -CAP) if r < 1 else -CAP) - 1
        v = _clipped((least, most), op["state_bits"])
        w = _clipped(_plus(_shifted(_times(v, decay), shift), (low, high)), op["state_bits"])
        found.append((int(w[0] > threshold), int(w[1] > threshold)))
    return found


def _layernorm(op: dict[str, Any], x: Interval) -> Interval:
    total = _plus(*x)
    d = [_minus(_times(ends, len(x)), total) for ends in x]
    size = [(max(low, -high), max(high, -low)) for low, high in d]
    largest = max(low for low, _ in size), max(high for _, high in size)
    r = tuple(max(max(end, 0).bit_length() - 20, 0) for end in largest)
    d = [_cut(_shifted(ends, r), -(1 << 20), 1 << 20) for ends in d]
    eps = (op["eps"] >> min(2 * r[1], 62), op["eps"] >> min(2 * r[0], 62))
    V = _plus(*(_times(ends, ends) for ends in d), eps)
    positive = max(V[0], 1), max(V[1], 1)
    p = tuple(((end.bit_length() + 1) >> 1) - 14 for end in positive)
    v = _cut(_shifted(positive, (2 * p[0], 2 * p[1])), 1 << 26, 1 << 28)
    R = _cut(_minus((139592, 139592), _shifted(_times(v, 79299), 28)), 0, 1 << 18)
    for _ in range(3):
        q = _shifted(_times(R, R), 16)
        e = _shifted(_times(v, q), 28)
        R = _cut(_shifted(_times(R, _minus((196608, 196608), e)), 17), 0, 1 << 18)
    reach = (1 << 20) + 64
    g = [_cut(_shifted(_times(ends, R), (p[0] + 10, p[1] + 10)), -reach, reach) for ends in d]
    if V[1] <= 0:
        g = [(0, 0)] * len(g)
    elif V[0] <= 0:
        g = [(min(low, 0), max(high, 0)) for low, high in g]
    return _affine(op, g)


def _readout(op: dict[str, Any], x: Interval) -> Interval:
    sums = _dense(op, x)
    return [
        _shifted(_plus(ends, (b, b)), op["shift"]) for ends, b in zip(sums, op["bias"], strict=True)
    ]


_lastreadout = _maxreadout = _streamreadout = _readout


def _ssm(op: dict[str, Any], u: Interval) -> Interval:
    channels = [_Channel(op, h, ends) for h, ends in enumerate(u)]
    proved = all(channel.proved for channel in channels)  # of the whole SSM
    return [channel.output(by_response=proved) for channel in channels]


class _Channel:
    """One channel of an SSM: its modes' states, and what they are read out to."""

    def __init__(self, op: dict[str, Any], h: int, u: Ends) -> None:
        self.op, self.h, self.u = op, h, u
        self.poles, self.sums, self.states = [], [], []
        for a_re, a_im, shift, k in zip(
            op["a_re"][h], op["a_im"][h], op["pole_shift"][h], op["input_shift"][h], strict=True
        ):
            q = complex(a_re * 2.0**-shift, a_im * 2.0**-shift)
            P, M, P_im, M_im = sums = pole_sums(q)
            low, high = min(u[0], 0) * 2.0**k, max(u[1], 0) * 2.0**k
            error = (P + M + P_im + M_im) / 2
            self.poles.append(q)
            self.sums.append(sums)
            self.states.append(
                (_outwards(P, M, low, high, error), _outwards(P_im, M_im, low, high, error))
            )
        self.modes = len(self.states)  # without the absent ones, the last of the row
        while self.modes and self._absent(self.modes - 1):
            self.modes -= 1
            if max(-u[0], u[1]) < 1 << 29:
                self.states[self.modes] = (0, 0), (0, 0)
        limits = _limits(op["state_bits"])
        self.proved = all(_cut(part, *limits) == part for mode in self.states for part in mode)

    def _absent(self, n: int) -> bool:
        op, h = self.op, self.h
        zeros = [op[name][h][n] for name in ("a_re", "a_im", "c_re", "c_im")]
        return not any(zeros) and (op["pole_shift"][h][n], op["input_shift"][h][n]) == (30, -30)

    def output(self, by_response: bool) -> Ends:
        op, h = self.op, self.h
        total = _shifted(_times(self.u, op["d"][h]), op["d_shift"][h])
        for (re, im), c_re, c_im in zip(self.states, op["c_re"][h], op["c_im"][h], strict=True):
            kept_re, kept_im = (_clipped(part, op["state_bits"]) for part in (re, im))
            mode = _minus(_times(kept_re, c_re), _times(kept_im, c_im))
            total = _plus(total, _shifted(mode, op["readout_shift"][h]))
        if not by_response:
            return total
        low, high = self._response()
        return max(total[0], low), min(total[1], high)

    def _response(self) -> Ends:
        op, h = self.op, self.h
        m, d = op["readout_shift"][h], op["d"][h] * 2.0 ** -op["d_shift"][h]
        weights = [
            complex(c_re, c_im) * 2.0 ** (k - m)
            for c_re, c_im, k in zip(
                op["c_re"][h], op["c_im"][h], op["input_shift"][h], strict=True
            )
        ]
        positive = negative = 0.0
        terms = list(weights)
        for j in range(TERMS):
            K = sum(term.real for term in terms) + (d if j == 0 else 0.0)
            positive, negative = positive + max(K, 0.0), negative + max(-K, 0.0)
            terms = [term * q for term, q in zip(terms, self.poles, strict=True)]
        size = sum(map(abs, weights)) + abs(d)
        rest = sum(
            abs(w) * abs(q) ** TERMS / (1 - abs(q))
            for w, q in zip(weights, self.poles, strict=True)
        )
        positive, negative = (
            part * (1 + 1e-9) + rest + 5e-12 * TERMS * size for part in (positive, negative)
        )
        error = self.modes / 2 + 1
        for c_re, c_im, sums in zip(op["c_re"][h], op["c_im"][h], self.sums, strict=True):
            error += (abs(c_re) + abs(c_im)) * 2.0**-m * sum(sums) / 2
        return _outwards(positive, negative, min(self.u[0], 0), max(self.u[1], 0), error)


def _outwards(plus: float, minus: float, low: float, high: float, error: float) -> Ends:
    least, most = plus * low - minus * high - error, plus * high - minus * low + error
    return floor(max(least, -CAP)), ceil(min(most, CAP))


def pole_sums(q: complex) -> tuple[float, float, float, float]:
    """Return P, M, P', M' of a pole."""
    sums = [0.0, 0.0, 0.0, 0.0]
    power, terms, radius = complex(1.0), 0, hypot(q.real, q.imag)
    rest = 1 / (1 - radius)
    while terms == 0 or rest > 1e-3 * (1 - 1e-9) * (sums[0] + sums[1]):
        for _ in range(16):
            for i, part in enumerate((power.real, -power.real, power.imag, -power.imag)):
                sums[i] += max(part, 0.0)
            power *= q
        terms += 16
        rest = radius**terms / (1 - radius)
    rest += 5e-16 * (terms + 16) / (1 - radius)
    return tuple(part + rest for part in sums)  # type: ignore[return-value]
