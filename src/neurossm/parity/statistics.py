"""How sure one can be: intervals of proportions, and the paired test of two classifiers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_Z = 1.959963984540054
"""Two-sided 95 %."""


@dataclass(frozen=True)
class Proportion:
    """A fraction with its 95 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float

    @staticmethod
    def of(successes: int, trials: int) -> Proportion:
        """Return the fraction of successes and its interval."""
        p, z2 = successes / trials, _Z**2
        centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
        half = _Z * np.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
        return Proportion(p, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


@dataclass(frozen=True)
class PairedComparison:
    """Two classifiers on the same samples.

    `difference` is the second one's accuracy minus the first one's, [`low`, `high`] its 95 %
    interval, `only_first` and `only_second` how many samples only one of them got right, `p_value`
    the exact McNemar test's.
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p_value: float


def compare_paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedComparison:
    """Compare which samples two classifiers got right; arrays (samples)."""
    n = len(first)
    only_first = int(np.count_nonzero(first & ~second))
    only_second = int(np.count_nonzero(second & ~first))
    difference = (only_second - only_first) / n
    discordant = only_first + only_second
    low, high = _paired_interval(only_first, only_second, n)
    p_value = stats.binomtest(only_first, discordant, 0.5).pvalue if discordant else 1.0
    return PairedComparison(
        difference,
        low,
        high,
        only_first,
        only_second,
        float(p_value),
    )


def _paired_interval(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of Bonett and Price (2012) for a difference of paired proportions.

    One sample is added to either kind of disagreement, so that it has a width even where the two
    classifiers never disagree, and covers the truth in small samples too.
    """
    p12, p21 = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = _Z * np.sqrt((p12 + p21 - (p21 - p12) ** 2) / (n + 2))
    return max(-1.0, float(p21 - p12 - half)), min(1.0, float(p21 - p12 + half))
