"""How far values are from the threshold, as a histogram whose bins need no scale beforehand.

Distances fall into bins by their floating-point representation: 16 bins to an octave. The scale
they are reported in, the root mean square of the values, is known only after the last sample.
"""

from __future__ import annotations

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.parity.results import Margins

_PART_BITS = 4
PER_OCTAVE = 1 << _PART_BITS
_LOWEST, _HIGHEST = -80, 48
"""Octaves covered; smaller and larger distances fall into the first and the last bin."""
BINS = (_HIGHEST - _LOWEST) * PER_OCTAVE
QUANTILES = (0.5, 0.9, 0.99, 1.0)


def bins_of(distances: FloatArray) -> IntArray:
    """Return the bin of each distance, in the array's shape."""
    words = np.ascontiguousarray(distances).view(np.int64)  # the order of positive doubles
    index = words >> (52 - _PART_BITS)
    index -= (1023 + _LOWEST) << _PART_BITS
    return np.clip(index, 0, BINS - 1, out=index)


def count(bins: IntArray) -> IntArray:
    """Return how many fall into each bin, (BINS)."""
    return np.bincount(bins.ravel(), minlength=BINS)


def edges() -> FloatArray:
    """Return the borders of the bins, (BINS + 1); the first is 0 in truth, the last infinity."""
    step = np.arange(BINS + 1)
    fraction = 1 + (step % PER_OCTAVE) / PER_OCTAVE
    return np.ldexp(fraction, _LOWEST + step // PER_OCTAVE)


def quantiles(counts: IntArray, scale: float) -> dict[str, float | None]:
    """Return quantiles of the distances over `scale`, interpolated within a bin (to 6 %)."""
    total = int(counts.sum())
    if total == 0:
        return {str(q): None for q in QUANTILES}
    below = np.concatenate([[0], np.cumsum(counts)])
    borders = edges()
    found: dict[str, float | None] = {}
    for q in QUANTILES:
        at = min(max(int(np.searchsorted(below, q * total)) - 1, 0), BINS - 1)
        share = (q * total - below[at]) / max(int(counts[at]), 1)
        found[str(q)] = float(borders[at] + share * (borders[at + 1] - borders[at])) / scale
    return found


def by_octave(all_counts: IntArray, flipped: IntArray, scale: float) -> Margins:
    """Return both histograms by octave, as far as there is something, with edges over `scale`."""
    octaves = all_counts.reshape(-1, PER_OCTAVE).sum(axis=1)
    used = np.flatnonzero(octaves)
    first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
    return Margins(
        edges=tuple((edges()[::PER_OCTAVE][first : last + 1] / scale).tolist()),
        all=tuple(octaves[first:last].tolist()),
        flipped=tuple(flipped.reshape(-1, PER_OCTAVE).sum(axis=1)[first:last].tolist()),
    )
