"""The readout: mean and decoder against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.errors import InputError, LimitError
from neurossm.program import Interval, Readout, Tally, unchecked


def make(weight, bias, shift=0, bits=32, max_steps=1 << 20):
    return Readout("r", ("x",), unchecked(bits, 0, len(bias)), weight, bias, shift, max_steps)


def decide(op: Readout, x: list[list[int]]) -> tuple[list[int], dict[str, int]]:
    """Accumulate all steps, then decode once, as an engine does."""
    state, tally = op.start(1), Tally()
    for now in x:
        state, _ = op.step(state, np.array([now]), tally=Tally())
    return op.decode(state["sum"], len(x), tally)[0].tolist(), dict(tally)


def test_by_hand():
    op = make([[2, -1], [0, 3]], [5, -4], shift=1)
    # sums 7 and 3 over 3 steps; z = 14 - 3 + 15 = 26 and 9 - 12 = -3; over 3 * 2:
    # 4.33 -> 4 and -0.5 -> 0, halves up
    assert decide(op, [[1, 1], [2, 1], [4, 1]]) == ([4, 0], {})


@given(
    st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=1, max_size=30),
    st.tuples(st.integers(-127, 127), st.integers(-127, 127)),
    st.integers(-999, 999),
    st.integers(0, 9),
    st.integers(8, 20),
)
def test_equals_rational_arithmetic_for_any_length(x, weight, bias, shift, bits):
    op = make([weight], [bias], shift, bits)
    columns = zip(*x, strict=True)
    mean = sum(w * Fraction(sum(column), len(x)) for w, column in zip(weight, columns, strict=True))
    exact = floor((mean + bias) / 2**shift + Fraction(1, 2))
    wanted = max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, exact))
    assert decide(op, [list(now) for now in x]) == ([wanted], {} if wanted == exact else {"r": 1})


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 1000, 12345, (1 << 20) - 1, 1 << 20])
def test_long_sums_are_exact(steps):
    rng = np.random.default_rng(steps)
    op = make(rng.integers(-127, 128, (3, 4)), rng.integers(-(10**6), 10**6, 3), 7, bits=40)
    total = rng.integers(-(2**23), 2**23, 4) * steps + rng.integers(-steps, steps + 1, 4)
    got = op.decode(total[None], steps, Tally())[0].tolist()
    for c in range(3):
        z = sum(int(w) * int(t) for w, t in zip(op.weight[c], total, strict=True))
        exact = Fraction(z + int(op.bias[c]) * steps, steps * 2**7)
        assert got[c] == floor(exact + Fraction(1, 2))


def test_every_step_can_be_the_last():
    op = make([[3]], [1], shift=1)
    state = op.start(1)
    x, seen = [4, -7, 9, 0], []
    for now in x:
        state, logits = op.step(state, np.array([[now]]), tally=Tally())
        seen.append(logits[0, 0])
    wanted = [decide(op, [[v] for v in x[: n + 1]])[0][0] for n in range(4)]
    assert seen == wanted


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8), st.integers(0, 4))
def test_bounds_hold_for_any_length_and_are_reached(x, shift):
    weight, bias = [[5], [-3]], [7, -2]
    op = make(weight, bias, shift)
    bounds = op.bounds(Interval([-9], [9]))
    logits, _ = decide(op, [[v] for v in x])
    assert all(bounds.low <= logits)
    assert all(logits <= bounds.high)
    ends = np.array([decide(op, [[v]] * len(x))[0] for v in (-9, 9)])  # constant inputs
    assert bounds.low.tolist() == ends.min(axis=0).tolist()
    assert bounds.high.tolist() == ends.max(axis=0).tolist()


def test_sums_that_64_bits_could_not_hold_are_refused():
    x = Interval.of_bits(24, 1)
    make([[127]], [0], max_steps=1 << 20).bounds(x)
    with pytest.raises(LimitError, match="sum over max_steps = 1073741824 steps can reach"):
        make([[127] * 9], [0], max_steps=1 << 30).bounds(Interval.of_bits(24, 9))
    with pytest.raises(LimitError, match="sum over max_steps"):  # the sum itself, unweighted
        make([[0]], [0], max_steps=1 << 30).bounds(Interval.of_bits(40, 1))
    with pytest.raises(LimitError, match="sum over max_steps"):
        make([[1]], [1 << 50], max_steps=1 << 20).bounds(x)


@pytest.mark.parametrize("fields", [{"shift": -1}, {"shift": 41}, {"max_steps": 0}])
def test_bad_fields(fields):
    with pytest.raises(InputError, match="must be at least 1"):
        make([[1]], [0], **fields)
