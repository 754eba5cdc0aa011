"""Weights rounded against each other: less error in the sum than each rounded alone."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm.compile.calibration import walk
from neurossm.compile.rounding import StatisticsObserver, corrected_bias, round_adjusted
from neurossm.graph.evaluate import evaluate
from neurossm.graph.sequences import Sequences


def test_independent_inputs_are_rounded_to_nearest_halves_up():
    weight = np.array([[0.4, -0.6, 2.5], [-2.5, 1.5, 126.7]])
    assert round_adjusted(weight, np.eye(3), 127).tolist() == [[0, -1, 3], [-2, 2, 127]]


def test_weights_stay_within_their_width():
    rng = np.random.default_rng(0)
    common = np.full((6, 6), 0.9) + 0.1 * np.eye(6)
    weight = rng.uniform(-7.4, 7.4, (50, 6))
    rounded = round_adjusted(weight, common, 7)
    assert np.abs(rounded).max() <= 7
    assert rounded.dtype == np.int64


@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_the_sum_is_smaller(seed):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(8, 3))
    inputs = (rng.normal(size=(4000, 3)) @ mixing.T + rng.normal(size=(4000, 8)) * 0.3 > 0) * 1.0
    covariance = np.cov(inputs.T)
    weight = rng.normal(size=(40, 8)) * 3
    adjusted = round_adjusted(weight, covariance, 127)
    nearest = np.floor(weight + 0.5)

    def variance(rounded):
        return ((inputs - inputs.mean(axis=0)) @ (weight - rounded).T).var(axis=0).mean()

    assert variance(adjusted) < 0.9 * variance(nearest)


@pytest.mark.parametrize(
    "covariance",
    [np.zeros((3, 3)), np.diag([1.0, 0.0, 0.0]), np.ones((3, 3)), 1e-30 * np.eye(3)],
)
def test_inputs_that_never_or_always_spike_do_no_harm(covariance):
    weight = np.array([[0.4, -0.6, 2.6]])
    rounded = round_adjusted(weight, covariance, 127)
    assert np.abs(rounded - weight).max() <= 1.1


def test_the_bias_takes_back_the_mean_error():
    bias = corrected_bias(
        np.array([1.0]), np.array([[0.5, 2.0]]), np.array([[1.0, 2.0]]), np.array([0.25, 0.5])
    )
    assert bias.tolist() == [1.0 - 0.5 * 0.25]


def test_statistics_are_those_of_all_samples(networks):
    graph = networks.random_graph(0, blocks=2)
    x = networks.random_data(graph.input, 0, batch=35)  # more than one group
    observer = StatisticsObserver(graph)
    walk(graph, Sequences(x), [observer])
    found = observer.statistics()
    assert set(found) == {f"blocks.{i}.{half}" for i in (0, 1) for half in ("value", "gate")}
    spikes = evaluate(graph, x, ["blocks.1.spike"])["blocks.1.spike"].reshape(-1, 4)
    seen = found["blocks.1.gate"]
    np.testing.assert_allclose(seen.mean, spikes.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(seen.covariance, np.cov(spikes.T, bias=True), atol=1e-12)
