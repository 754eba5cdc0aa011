"""Statistics of layers against double loops over steps and channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.parity import margins
from neurossm.parity.layers import (
    Layer,
    LayerParity,
    RungParity,
    Trace,
    compare,
    decibel,
    window_edges,
)

LAYER = Layer("block", "block.spike", "block.ssm", "block.add")


@pytest.mark.parametrize(
    ("steps", "windows"),
    # 784 = 28 * 28, 1024 = 32 * 32; 17 and 31 by themselves, 37 is prime: 32 uneven ones.
    [(784, 28), (1024, 32), (1, 1), (15, 15), (16, 16), (17, 17), (31, 31), (37, 32), (8192, 32)],
)
def test_windows(steps, windows):
    edges = window_edges(steps)
    assert len(edges) - 1 == windows
    assert (edges[0], edges[-1]) == (0, steps)
    sizes = np.diff(edges)
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1


def _traces(rng, steps, channels, alike):
    spikes = rng.integers(0, 2, (2, steps, channels))
    if alike:
        spikes[1] = spikes[0]
    before = rng.normal(size=(2, steps, channels))
    residual = rng.normal(size=(2, steps, channels)).round(2)
    bins = margins.bins_of(np.abs(before[0]))
    upper = Trace(spikes[0], before[0], residual[0], bins)
    return upper, Trace(spikes[1], before[1], residual[1])


@given(
    seed=st.integers(0, 1 << 20),
    steps=st.integers(1, 40),
    channels=st.integers(1, 5),
    samples=st.integers(1, 3),
    alike=st.booleans(),
)
def test_against_a_double_loop(seed, steps, channels, samples, alike):
    rng = np.random.default_rng(seed)
    edges = window_edges(steps)
    parity = LayerParity(LAYER, edges)
    pairs = [_traces(rng, steps, channels, alike) for _ in range(samples)]
    for upper, lower in pairs:
        parity.add(compare(upper, lower, edges))
    found = parity.result(None).to_json()

    flips = fired = 0
    firsts, by_window = [], [0] * (len(edges) - 1)
    signal = noise = residual_signal = residual_noise = 0.0
    distances = []
    for upper, lower in pairs:
        first = None
        for t in range(steps):
            window = max(w for w in range(len(edges) - 1) if edges[w] <= t)
            for h in range(channels):
                fired += int(upper.spikes[t, h] != 0)
                if upper.spikes[t, h] != lower.spikes[t, h]:
                    flips += 1
                    by_window[window] += 1
                    first = t if first is None else first
                    distances.append(abs(upper.before[t, h]))
                signal += upper.before[t, h] ** 2
                noise += (upper.before[t, h] - lower.before[t, h]) ** 2
                residual_signal += upper.residual[t, h] ** 2
                residual_noise += (upper.residual[t, h] - lower.residual[t, h]) ** 2
        if first is not None:
            firsts.append(first)

    total = samples * steps * channels
    assert found["spikes_compared"] == total
    assert found["spikes_flipped"] == flips
    assert found["spike_agreement"] == (total - flips) / total
    assert found["firing_rate"] == fired / total
    assert found["samples_diverged"] == len(firsts)
    assert found["first_divergence_step"] == (min(firsts) if firsts else None)
    assert found["median_divergence_step"] == (np.median(firsts) if firsts else None)
    assert found["pre_threshold_snr_db"] == pytest.approx(10 * math.log10(signal / noise))
    assert found["pre_threshold_error"] == pytest.approx(math.sqrt(noise / signal))
    if residual_noise and residual_signal:
        expected = 10 * math.log10(residual_signal / residual_noise)
        assert found["residual_snr_db"] == pytest.approx(expected)
    sizes = np.diff(edges) * channels * samples
    agreement = [1 - wrong / size for wrong, size in zip(by_window, sizes, strict=True)]
    assert found["over_time"]["spike_agreement"] == pytest.approx(agreement)
    assert sum(found["margins"]["all"]) == total
    assert sum(found["margins"]["flipped"]) == flips
    if distances:
        rms = math.sqrt(signal / total)
        furthest = found["flipped_margin_quantiles"]["1.0"]
        assert furthest == pytest.approx(max(distances) / rms, rel=0.07)


def test_no_error_has_no_ratio():
    assert decibel(1.0, 0.0) is None
    assert decibel(100.0, 1.0) == pytest.approx(20)
    trace = _traces(np.random.default_rng(0), 5, 2, alike=True)[0]
    edges = window_edges(5)
    parity = LayerParity(LAYER, edges)
    parity.add(compare(trace, trace, edges))
    found = parity.result(None).to_json()
    assert found["pre_threshold_snr_db"] is None
    assert found["over_time"]["residual_snr_db"] == [None] * 5
    assert found["spike_agreement"] == 1


def test_the_first_divergence_of_a_sample_is_the_earliest_of_its_layers():
    edges = window_edges(4)
    other = Layer("later", "later.spike", "later.ssm", None)
    rungs = RungParity((LAYER, other), edges)

    def difference(*spikes):
        zeros = np.zeros((4, 1))
        upper = Trace(zeros, zeros, None, margins.bins_of(zeros))
        return compare(upper, Trace(np.array(spikes)[:, None], zeros, None), edges)

    rungs.add([difference(0, 0, 1, 0), difference(0, 1, 1, 0)], same_predictions=[True])
    rungs.add([difference(0, 0, 0, 1), difference(0, 0, 0, 1)], same_predictions=[False])
    rungs.add([difference(0, 0, 0, 0), difference(0, 0, 0, 0)], same_predictions=[True])
    assert rungs.first == [(1, "later"), (3, "block"), None]
    assert rungs.agreements == [1 - 3 / 8, 1 - 2 / 8, 1]
    found = rungs.result({}).to_json()
    assert found["top1_agreement"] == 2 / 3
    assert (found["samples_diverged"], found["first_divergence_step"]) == (2, 1)
    assert found["median_divergence_step"] == 2
    assert found["layers"][1]["residual_snr_db"] is None
