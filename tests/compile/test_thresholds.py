"""Dynamic thresholds become static ones, calibrated on data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.compile.thresholds import freeze_thresholds
from neurossm.errors import InputError

SOURCE = g.Input("input", (), "float", 2, -9.0, 9.0, 1.0)
GRAPH = g.Graph((SOURCE, g.Ternary("t", ("input",), None, 0.5), g.Mean("mean", ("t",))))


def test_the_threshold_is_the_scaled_mean_of_the_dynamic_one():
    # per step the largest magnitudes are 4, 2, 6, 8: thresholds 2, 1, 3, 4, mean 2.5
    data = np.array([[[4.0, -1.0], [-2.0, 0.0]], [[3.0, -6.0], [8.0, 8.0]]])
    frozen, (approximation,) = freeze_thresholds(GRAPH, 2.0, data)
    assert frozen["t"].threshold.tolist() == [5.0, 5.0]
    assert approximation.name == "t.threshold"
    assert approximation.max_error == 4.0  # |1 - 5|
    assert (
        "mean of the dynamic one over 2 samples, where it spans 1 to 4" in approximation.description
    )
    # Above their step's threshold: 4; -2; -6; 8, 8. Above 5: -6; 8, 8. Two of eight change.
    assert "25.00% of the spikes change" in approximation.description


def test_static_thresholds_stay():
    node = replace(GRAPH["t"], threshold=np.array([1.0, 2.0]))
    graph = g.Graph((SOURCE, node, g.Mean("mean", ("t",))))
    assert freeze_thresholds(graph, 1.3, None) == (graph, ())


def test_data_are_needed():
    with pytest.raises(InputError, match="t: the threshold follows .* give --calibration"):
        freeze_thresholds(GRAPH, 1.3, None)


def test_without_a_scale_the_fewest_spikes_change():
    # Thresholds 1, 1, 1 and 4, mean 1.75: all spike but the 1.5. From 1.5 to below 1.95 the
    # static one says the same.
    data = np.array([[[2.0, 1.95], [2.0, 1.95], [-2.0, 1.95], [8.0, 1.5]]])
    frozen, (approximation,) = freeze_thresholds(GRAPH, None, data)
    chosen = frozen["t"].threshold[0]
    assert 1.5 <= chosen < 1.95
    assert chosen * 1.036 > 1.95  # the largest that changes nothing, in steps of 3.5 %
    assert "0.00% of the spikes change" in approximation.description


def test_the_steps_kept_are_spread_over_all_samples(monkeypatch):
    from neurossm.compile import thresholds

    monkeypatch.setattr(thresholds, "_STEPS", 50)
    data = np.ones((64, 3, 2))
    data[32:, :, 1] = 0.6  # above half of 1, below 0.8
    frozen, (approximation,) = freeze_thresholds(GRAPH, 1.6, data)
    assert frozen["t"].threshold[0] == 0.8
    assert "25.00% of the spikes change" in approximation.description
