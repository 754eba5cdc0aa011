"""Exponents, mantissas and gains against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.compile.scaling import (
    MAX_EXPONENT,
    fitting_exponent,
    gain_and_shift,
    largest_mantissa,
    to_mantissa,
    value_limit,
)
from neurossm.errors import LimitError

sizes = st.floats(1e-12, 1e15) | st.integers(-40, 40).map(lambda e: 2.0**e)


@given(sizes, st.integers(2, 32))
def test_the_exponent_is_the_largest_that_fits(size, bits):
    limit = 2 ** (bits - 1) - 1
    (exponent,) = fitting_exponent(np.array([-size]), limit).tolist()
    assert Fraction(size) * Fraction(2) ** exponent <= limit
    assert exponent == MAX_EXPONENT or Fraction(size) * Fraction(2) ** (exponent + 1) > limit


def test_exponents_of_zero_and_of_huge_values():
    assert fitting_exponent(np.array([0.0, 1e200]), 127).tolist() == [40, -658]
    # 1e200 = 1.03 * 2^664: 2^(664 - 658) * 1.03 = 66.1 fits 127, twice that does not
    assert fitting_exponent(np.array([0.0]), 127, at_most=3).tolist() == [3]


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_values_beyond_double_precision_are_refused(value):
    with pytest.raises(LimitError, match="beyond double precision"):
        fitting_exponent(np.array([1.0, value]), 127)


@given(st.floats(-1e6, 1e6), st.integers(-20, 40))
def test_mantissas_are_to_nearest_halves_up(value, exponent):
    exact = floor(Fraction(value) * Fraction(2) ** exponent + Fraction(1, 2))
    got = int(to_mantissa(np.array([value]), exponent)[0])
    assert abs(got - exact) <= (1 if abs(exact) > 2**52 else 0)


def test_halves_go_up():
    halves = np.array([0.5, -0.5, 1.5, -1.5, 0.25])
    assert to_mantissa(halves, 0).tolist() == [1, 0, 2, -1, 0]
    assert to_mantissa(halves, 1).tolist() == [1, -1, 3, -3, 1]


def test_mantissas_that_need_too_many_bits_are_refused():
    for value, exponent in ((1.0, 62), (-1e300, 40), (1e300, 1000)):
        with pytest.raises(LimitError, match="more than 62 bits") as caught:
            to_mantissa(np.array([value]), exponent)
        assert "\n" not in str(caught.value)
    assert to_mantissa(np.array([0.99]), 62)[0] == floor(Fraction(0.99) * 2**62)


@given(st.floats(2.0**-40, 2.0**40), st.sampled_from([-1, 1]), st.integers(4, 24))
def test_gains_are_as_exact_as_their_width_and_odd(size, sign, bits):
    factor = sign * size
    gain, shift = (int(part[0]) for part in gain_and_shift(np.array([factor]), bits))
    assert abs(gain) <= largest_mantissa(bits)
    assert gain % 2 == 1  # no needless zeros: a power of two has gain 1
    error = abs(Fraction(gain) / Fraction(2) ** shift - Fraction(factor))
    assert error <= abs(Fraction(factor)) / (2 ** (bits - 1) - 2)  # half of the last place


def test_powers_of_two_are_shifts():
    gain, shift = gain_and_shift(np.array([1.0, 0.25, 8.0, -0.5]), 16)
    assert gain.tolist() == [1, 1, 1, -1]
    assert shift.tolist() == [0, 2, -3, 1]


def test_factors_that_shift_everything_away_are_zero():
    # the smallest shift beyond 62 turns any product below 2^62 into 0
    gain, shift = gain_and_shift(np.array([2.0**-62, 2.0**-63, 1e-200, 0.0]), 16)
    assert gain.tolist() == [1, 0, 0, 0]
    assert shift.tolist() == [62, 0, 0, 0]


def test_factors_beyond_a_machine_word_are_refused():
    assert gain_and_shift(np.array([2.0**62]), 16)[1].tolist() == [-62]
    with pytest.raises(LimitError, match="beyond a shift by 62 bits"):
        gain_and_shift(np.array([2.0**63]), 16)


@pytest.mark.parametrize("bits", [6, 8, 16, 24, 32])
def test_limits_leave_room_for_rounding(bits):
    assert largest_mantissa(bits) == 2 ** (bits - 1) - 1
    assert 0 < value_limit(bits) <= largest_mantissa(bits) - 4
