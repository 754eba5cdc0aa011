"""The threshold that follows the largest activation, by hand and against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm import program as p
from neurossm.errors import InputError
from neurossm.program.work import Work


def make(channels: int, factor: int = 19661, shift: int = 17) -> p.PeakTernary:
    return p.PeakTernary("t", ("x",), p.unchecked(2, 0, channels), factor, shift)


def test_by_hand() -> None:
    # 3/8 of 20 is 7.5: 8 and -20 exceed it, 7 does not; of 16, 6 exactly, which 6 does not exceed
    x = np.array([[8, 7, -20, 0, -8], [6, 7, -6, -7, 16], [0, 0, 0, 0, 0]])
    _, y = make(5, 3, 3).step({}, x, tally=p.Tally())
    assert y.tolist() == [[1, 0, -1, 0, -1], [0, 1, 0, -1, 1], [0, 0, 0, 0, 0]]


@given(
    st.lists(st.integers(-(2**36), 2**36), min_size=1, max_size=6),
    st.integers(0, (1 << 24) - 1),
    st.integers(0, 40),
)
def test_the_comparison_is_exact(x: list[int], factor: int, shift: int) -> None:
    threshold = Fraction(factor, 1 << shift) * max(abs(v) for v in x)
    wanted = [(v > threshold) - (-v > threshold) for v in x]
    _, y = make(len(x), factor, shift).step({}, np.array([x]), tally=p.Tally())
    assert y.tolist() == [wanted]


def test_bounds_and_work() -> None:
    op = make(3)
    bounds = op.bounds(p.Interval(np.full(3, -900), np.full(3, 900)))
    assert (bounds.low.tolist(), bounds.high.tolist()) == ([-1] * 3, [1] * 3)
    assert op.message_bits == 2
    assert op.work() == Work(elementwise_adds=2)  # two comparisons
    # once per step: a product, and a comparison of each channel with the largest so far
    assert op.work_per_step() == Work(elementwise_multiplies=1, elementwise_adds=3)


@pytest.mark.parametrize(
    ("factor", "shift", "problem"),
    [(-1, 0, "factor -1"), (1 << 24, 0, "factor 16777216"), (1, -1, "negative shift -1")],
)
def test_refusals(factor: int, shift: int, problem: str) -> None:
    with pytest.raises(InputError, match=f"t: {problem}"):
        make(2, factor, shift)
