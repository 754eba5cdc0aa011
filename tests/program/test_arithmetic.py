"""Shift and saturation against plain Python integers."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.program import Tally, limits, rshift, saturate


@pytest.mark.parametrize(
    ("p", "k", "wanted"),
    [
        (5, 1, 3),  # 2.5, halves up
        (-5, 1, -2),  # -2.5, halves up: not away from zero
        (-3, 1, -1),  # -1.5
        (-1, 1, 0),  # -0.5
        (6, 2, 2),  # 1.5
        (-6, 2, -1),  # -1.5
        (-7, 2, -2),  # -1.75
        (7, 0, 7),
        (-7, -3, -56),  # a left shift
        ((1 << 62) - 1, 62, 1),  # just below 1
        (1 << 61, 62, 1),  # 0.5
        ((1 << 61) - 1, 62, 0),  # just below 0.5
        (-(1 << 61), 62, 0),  # -0.5
        (-(1 << 61) - 1, 62, -1),
    ],
)
def test_rshift_by_hand(p, k, wanted):
    assert rshift(np.array([p]), k).tolist() == [wanted]


@given(st.integers(-(2**62) + 1, 2**62 - 1), st.integers(0, 62))
def test_rshift_is_to_nearest_halves_up(p, k):
    wanted = floor(Fraction(p, 2**k) + Fraction(1, 2))
    assert int(rshift(np.array(p), k)) == wanted


@given(st.integers(-(2**30), 2**30), st.integers(-32, 0))
def test_negative_rshift_is_exact(p, k):
    assert int(rshift(np.array(p), k)) == p * 2**-k


def test_rshift_broadcasts_shifts_of_both_signs():
    p = np.array([[7], [-7]])
    # 7 * 2, 7, 3.5 -> 4, 1.75 -> 2; -14, -7, -3.5 -> -3, -1.75 -> -2
    assert rshift(p, np.array([-1, 0, 1, 2])).tolist() == [[14, 7, 4, 2], [-14, -7, -3, -2]]


@pytest.mark.parametrize("bits", [1, 2, 8, 24, 63])
def test_limits(bits):
    low, high = limits(bits)
    assert (low, high) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def test_saturate_clips_and_counts_each_integer():
    tally = Tally()
    value = np.array([[-9, -8, 0], [7, 8, 1000]])
    assert saturate(value, 4, tally, "x").tolist() == [[-8, -8, 0], [7, 7, 7]]
    assert tally == {"x": 3}  # -9, 8 and 1000; -8 and 7 fit
    saturate(value, 4, tally, "x")
    saturate(value, 11, tally, "y")  # all fit [-1024, 1023]: no entry at all
    assert tally == {"x": 6}
