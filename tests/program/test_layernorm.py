"""Integer layer normalisation against plain Python integers and against the real function."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.errors import InputError, LimitError
from neurossm.program import Interval, LayerNorm, Tally, unchecked
from neurossm.program.arithmetic import bit_length
from neurossm.program.layernorm import inverse_root, normal


class Root(LayerNorm):
    @staticmethod
    def equation(f, *x):
        return inverse_root(x[0])[0]


class RootExponent(LayerNorm):
    @staticmethod
    def equation(f, *x):
        return inverse_root(x[0])[1]


class Normal(LayerNorm):
    @staticmethod
    def equation(f, *x):
        return normal(x[0], f.channels, f.eps)


def root_of(power):
    fields = ("r", ("x",), unchecked(62, 0, 1), [0], [0], [0], 0)
    return tuple(kind(*fields).unsaturated(np.array(power)) for kind in (Root, RootExponent))


def nearest(p: int, k: int) -> int:
    return p << -k if k < 0 else (2 * p + (1 << k)) >> (k + 1)


def make(gain, shift, offset, eps=0, bits=40):
    return LayerNorm("n", ("x",), unchecked(bits, 0, len(gain)), gain, shift, offset, eps)


def plain(op: LayerNorm, x: list[int]) -> list[int]:
    """Compute the operation in Python integers from its description."""
    total = sum(x)
    deviation = [len(x) * v - total for v in x]
    right = max(0, max(abs(d) for d in deviation).bit_length() - 20)
    deviation = [nearest(d, right) for d in deviation]
    power = sum(d * d for d in deviation) + (op.eps >> 2 * right)
    if power == 0:
        normal = [0] * len(x)
    else:
        p = -(-power.bit_length() // 2) - 14
        v = nearest(power, 2 * p)
        root = 139592 - nearest(79299 * v, 28)
        for _ in range(3):
            square = nearest(root * root, 16)
            root = nearest(root * ((3 << 16) - nearest(v * square, 28)), 17)
        normal = [nearest(d * root, 10 + p) for d in deviation]
    low, high = -(1 << op.out.bits - 1), (1 << op.out.bits - 1) - 1
    exact = [
        nearest(int(g) * n, int(s)) + int(o)
        for n, g, s, o in zip(normal, op.gain, op.shift, op.offset, strict=True)
    ]
    return [max(low, min(high, v)) for v in exact]


def step(op, *rows):
    tally = Tally()
    _, out = op.step({}, np.array(rows), tally=tally)
    return out.tolist(), dict(tally)


rows = st.integers(1, 6).flatmap(
    lambda size: st.tuples(
        st.one_of(
            *(
                st.lists(st.integers(-reach, reach), min_size=size, max_size=size)
                for reach in (3, 1000, 2**23, 2**40)
            )
        ),
        st.lists(st.integers(-(2**15), 2**15), min_size=size, max_size=size),
        st.lists(st.integers(-2, 20), min_size=size, max_size=size),
    )
)


@given(rows, st.one_of(st.just(0), st.integers(0, 2**52 - 1)), st.integers(8, 45))
def test_steps_are_their_equation(row, eps, bits):
    x, gain, shift = row
    op = make(gain, shift, [7] * len(x), eps, bits)
    assert step(op, x)[0] == [plain(op, x)]


@pytest.mark.parametrize("reach", [9, 18, 19, 20, 21, 30, 45])
def test_steps_of_any_size_are_their_equation(reach):
    """Around 20 bits deviations begin to be shifted; every bit of n shows in the output."""
    rng = np.random.default_rng(reach)
    for size in (2, 3, 7):
        op = make([1] * size, [0] * size, [0] * size, int(rng.integers(0, 1 << reach)))
        x = rng.integers(-(1 << reach), 1 << reach, (20, size))
        assert step(op, *x)[0] == [plain(op, row) for row in x.tolist()]


@given(rows, st.sampled_from([0, 1, 1000, 10**9]))
def test_it_is_nearly_the_real_function(row, eps):
    x, gain, _ = row
    # gain * sqrt(size) in steps of 2^-10, n in steps of 2^-20: y in steps of 2^-10 after 20
    size = len(x)
    op = make(gain, [20] * size, [0] * size, eps)
    exact = [size * v - sum(x) for v in x]
    power = sum(d * d for d in exact) + eps
    if power == 0:
        assert step(op, x)[0] == [[0] * size]
        return
    for got, d, g in zip(step(op, x)[0][0], exact, gain, strict=True):
        # n is known to 2^-15; g n then is, plus the half of its own rounding
        assert abs(got - g * float(Fraction(d) / Fraction(math.isqrt(power << 80), 1 << 40))) <= (
            abs(g) * 2.0**-14 + 0.5
        )


def test_constant_inputs_and_one_channel_give_the_offset():
    op = make([100, 200], [3, 3], [5, -6])
    assert step(op, [9, 9], [-4, -4]) == ([[5, -6], [5, -6]], {})
    assert step(make([100], [3], [5]), [123]) == ([[5]], {})


def test_saturation_is_counted():
    op = make([1 << 10, 1 << 10], [20, 20], [0, 0], bits=8)
    # n = +-2^20 / sqrt(2): y = +-724 of the range [-128, 127]
    assert step(op, [5, -5]) == ([[127, -128]], {"n": 2})


@given(st.integers(0, 2**62))
def test_bit_length(value):
    assert bit_length(np.array([value])).tolist() == [value.bit_length()]


@pytest.mark.parametrize("power", [1, 2, 3, 4, 2**26, 2**28 - 1, 2**52 - 1, 2**52, 2**53])
def test_inverse_root_at_ends(power):
    root, p = (int(part[0]) for part in root_of([power]))
    assert root / 2 ** (30 + p) == pytest.approx(power**-0.5, rel=2.0**-15)


def test_inverse_root_everywhere():
    rng = np.random.default_rng(0)
    power = np.concatenate([np.arange(1, 1 << 16), 2 ** rng.uniform(16, 53, 200_000)]).astype(int)
    root, p = root_of(power)
    error = root * 2.0 ** -(30 + p) * np.sqrt(power) - 1
    assert np.abs(error).max() < 2.0**-15


@pytest.mark.parametrize("channels", [2, 3, 64, 4096])
def test_bounds_hold_where_one_channel_holds_all_variance(channels):
    rng = np.random.default_rng(channels)
    gain = rng.integers(-(2**14), 2**14, channels)
    op = make(gain, np.full(channels, 16), rng.integers(-99, 99, channels))
    x = np.zeros((5, channels), np.int64)
    x[0, 0], x[1, 0], x[2, -1], x[3], x[4] = 2**23, -3, 2**20, -9, rng.integers(-99, 99, channels)
    x[3, 0] = 2**22
    bounds = op.bounds(Interval.of_bits(24, channels))
    y = op.step({}, x, tally=Tally())[1]
    assert (y >= bounds.low).all()
    assert (y <= bounds.high).all()
    same = Normal("n", ("x",), op.out, op.gain, op.shift, op.offset, op.eps)
    assert np.abs(same.unsaturated(x)).max() <= 2**20 + 64


def test_limits_are_refused():
    with pytest.raises(LimitError, match="4097 channels"):
        make([1] * 4097, [0] * 4097, [0] * 4097).bounds(Interval.of_bits(8, 4097))
    with pytest.raises(LimitError, match="channels \\* x can reach"):
        make([1] * 4, [0] * 4, [0] * 4).bounds(Interval.of_bits(62, 4))
    with pytest.raises(LimitError, match="gain \\* n can reach"):
        make([2**45], [0], [0]).bounds(Interval.of_bits(8, 1))
    for eps in (-1, 2**52):
        with pytest.raises(InputError, match="eps"):
            make([1], [0], [0], eps)
