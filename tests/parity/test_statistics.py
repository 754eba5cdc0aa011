"""Intervals and tests against SciPy, hand arithmetic and exact coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neurossm.parity.statistics import Proportion, compare_paired


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 9), (5, 9), (993, 1000)])
def test_wilson_interval_is_scipys(successes, trials):
    found = Proportion.of(successes, trials)
    wanted = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert found.value == successes / trials
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_value_and_stays_a_share(pair):
    found = Proportion.of(*pair)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert found.low < found.high  # never certain


def _votes(both, first, second, neither):
    one = np.repeat([True, True, False, False], [both, first, second, neither])
    two = np.repeat([True, False, True, False], [both, first, second, neither])
    return one, two


def test_paired_by_hand():
    # 90 both, 6 only the first, 2 only the second, 2 neither: 92 - 96 = -4 of 100.
    # McNemar, exact: 2 * (C(8,0) + C(8,1) + C(8,2)) / 2^8 = 2 * 37 / 256 = 0.2890625.
    # Bonett and Price: p12 = 7/102, p21 = 3/102, difference -4/102 = -0.0392157,
    # variance (10/102 - (4/102)^2) / 102 = 9.46104e-4, half 1.959964 * 0.0307588 = 0.0602861.
    found = compare_paired(*_votes(90, 6, 2, 2))
    assert (found.only_first, found.only_second) == (6, 2)
    assert found.difference == pytest.approx(-0.04)
    assert found.p_value == pytest.approx(0.2890625)
    assert found.low == pytest.approx(-0.0392157 - 0.0602861, abs=1e-6)
    assert found.high == pytest.approx(-0.0392157 + 0.0602861, abs=1e-6)


def test_classifiers_that_always_agree_still_leave_doubt():
    # p12 = p21 = 1/102: half = 1.959964 * sqrt(2/102/102) = 0.0271748.
    found = compare_paired(*_votes(99, 0, 0, 1))
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert (found.low, found.high) == pytest.approx((-0.0271748, 0.0271748), abs=1e-6)


@given(st.tuples(*[st.integers(0, 30)] * 4).filter(any))
def test_swapping_the_classifiers_swaps_the_signs(counts):
    one, two = _votes(*counts)
    found, swapped = compare_paired(one, two), compare_paired(two, one)
    assert found.difference == -swapped.difference
    assert found.p_value == pytest.approx(swapped.p_value)
    assert (found.low, found.high) == pytest.approx((-swapped.high, -swapped.low))
    assert -1 <= found.low <= found.difference + 1e-12
    assert found.difference - 1e-12 <= found.high <= 1
    table = stats.binomtest(found.only_first, max(1, found.only_first + found.only_second))
    if found.only_first + found.only_second:
        assert found.p_value == pytest.approx(table.pvalue)


@pytest.mark.parametrize(("p12", "p21"), [(0.002, 0.004), (0.05, 0.01), (0.0, 0.01)])
def test_the_interval_covers_the_truth_often_enough(p12, p21):
    # Of 4000 simulated pairs of classifiers on 400 samples, about 95 % of the intervals must hold
    # the true difference; a sampling error of 4 standard deviations is 1.4 %.
    rng = np.random.default_rng(0)
    n, runs = 400, 4000
    counts = rng.multinomial(n, [p12, p21, 1 - p12 - p21], runs)
    hits = 0
    for only_first, only_second, rest in counts:
        found = compare_paired(*_votes(rest, only_first, only_second, 0))
        hits += found.low <= p21 - p12 <= found.high
    assert hits / runs > 0.95 - 0.014
