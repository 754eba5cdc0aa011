"""Widths, bounds and exponents of tensors."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm.errors import InputError
from neurossm.program import Interval, TensorSpec, unchecked


def test_interval_measures():
    interval = Interval([-5, 2, 0], [3, 4, 0])
    assert interval.largest().tolist() == [5, 4, 0]
    assert interval.within(4)  # [-8, 7]
    assert not interval.within(3)  # [-4, 3] lacks -5 and 4
    clipped = interval.clipped(3)
    assert (clipped.low.tolist(), clipped.high.tolist()) == ([-4, 2, 0], [3, 3, 0])


def test_interval_of_bits():
    whole = Interval.of_bits(8, 2)
    assert (whole.low.tolist(), whole.high.tolist()) == ([-128, -128], [127, 127])


def test_values_are_mantissas_times_two_to_minus_the_exponent():
    spec = unchecked(8, np.array([3, 0, -2]), 3)
    assert spec.to_float(np.array([[12, 5, -3]])).tolist() == [[1.5, 5.0, -12.0]]


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([-9], [0], "beyond the 4 bits"),  # 4 bits hold -8 to 7
        ([0], [8], "beyond the 4 bits"),
        ([3], [2], "empty"),
        ([0, 0], [1, 1], "shape"),
        ([0.5], [1], "not integers"),
    ],
)
def test_bad_bounds(low, high, message):
    with pytest.raises(InputError, match=message):
        TensorSpec(4, np.array([0]), np.array(low), np.array(high), proved=True)
