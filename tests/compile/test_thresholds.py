"""Dynamic thresholds become static ones, calibrated on data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.compile.frontier import Frontier
from neurossm.compile.thresholds import freeze_thresholds
from neurossm.errors import InputError
from neurossm.graph.evaluate import evaluate
from neurossm.graph.sequences import Sequences

SOURCE = g.InputNode("input", (), "float", 2, -9.0, 9.0, 1.0)
GRAPH = g.Graph((SOURCE, g.TernaryNode("t", ("input",), None, 0.5), g.MeanNode("mean", ("t",))))


def test_the_threshold_is_the_scaled_mean_of_the_dynamic_one():
    # per step the largest magnitudes are 4, 2, 6, 8: thresholds 2, 1, 3, 4, mean 2.5
    data = np.array([[[4.0, -1.0], [-2.0, 0.0]], [[3.0, -6.0], [8.0, 8.0]]])
    frozen, (approximation,) = freeze_thresholds(GRAPH, 2.0, Sequences(data))
    assert frozen["t"].threshold.tolist() == [5.0, 5.0]
    assert approximation.name == "t:threshold"
    assert approximation.max_error == 4.0  # |1 - 5|
    assert (
        "mean of the dynamic one over 2 samples, where it spans 1 to 4" in approximation.description
    )
    # Above their step's threshold: 4; -2; -6; 8, 8. Above 5: -6; 8, 8. Two of eight change.
    assert "25.00% of the spikes change" in approximation.description


def test_statistics_are_those_of_the_valid_steps_joined():
    data = np.random.default_rng(0).normal(1.0, 2.0, (5, 9, 2))
    lengths = np.array([9, 9, 2, 1, 6])
    joined = np.concatenate([sample[:steps] for sample, steps in zip(data, lengths, strict=True)])
    data[np.arange(9) >= lengths[:, None]] = np.nan
    frontier = Frontier(GRAPH, Sequences(data, lengths))
    frontier.take(SOURCE)
    moments = frontier.watch("input", moments=True).moments
    np.testing.assert_allclose(moments.mean, joined.mean(axis=0))
    np.testing.assert_allclose(moments.deviation, joined.std(axis=0))
    frozen, _ = freeze_thresholds(GRAPH, 1.0, Sequences(data, lengths))
    np.testing.assert_allclose(frozen["t"].threshold, 0.5 * np.abs(joined).max(axis=1).mean())


def test_static_thresholds_stay():
    node = replace(GRAPH["t"], threshold=np.array([1.0, 2.0]))
    graph = g.Graph((SOURCE, node, g.MeanNode("mean", ("t",))))
    assert freeze_thresholds(graph, None, None) == (graph, ())
    with pytest.raises(InputError, match="threshold_scale = 1.3: this model has no dynamic"):
        freeze_thresholds(graph, 1.3, None)


def test_data_are_needed():
    with pytest.raises(InputError, match="t: the threshold follows .* give --calibration"):
        freeze_thresholds(GRAPH, 1.3, None)


def test_without_a_scale_the_spikes_tell_most_of_the_dynamic_ones():
    # Thresholds 1, 1, 1 and 4, mean 1.75: all spike but the 1.5. From 1.5 to below 1.95 the
    # static one says the same; below, channel 1 always spikes and tells nothing of itself.
    data = np.array([[[2.0, 1.95], [2.0, 1.95], [-2.0, 1.95], [8.0, 1.5]]])
    frozen, (approximation,) = freeze_thresholds(GRAPH, None, Sequences(data))
    chosen = frozen["t"].threshold[0]
    assert 1.5 <= chosen < 1.95
    assert chosen * 1.091 > 1.95  # the largest that changes nothing, in steps of 9 %
    assert "0.00% of the spikes change" in approximation.description


def _gated(*tail: g.Node) -> g.Graph:
    """Spikes of three channels, multiplied by the third channel, and a LayerNorm."""
    third = np.zeros((3, 3))
    third[:, 2] = 1.0
    source = replace(SOURCE, size=3)
    return g.Graph(
        (
            source,
            g.TernaryNode("t", ("input",), None, 0.5),
            g.LinearNode("first", ("t",), np.eye(3), np.zeros(3)),
            g.LinearNode("second", ("input",), third, np.zeros(3)),
            g.ProductNode("product", ("first", "second")),
            g.LayerNormNode("layernorm", ("product",), np.ones(3), np.zeros(3), 1e-5),
            *tail,
            g.MeanNode("mean", (tail[-1].name if tail else "layernorm",)),
        )
    )


def _two_kinds_of_steps(factor: float) -> np.ndarray:
    """Nine large steps in ten, where the third channel is `factor`, and a small one of 0.1.

    Large: the dynamic threshold is 4, and the second channel 3 or 6. Small: it is 1, and the
    second channel 0.5 or 1.5. So a static one is right for the large from 3 to 6 and for the small
    from 0.5 to 1.5.
    """
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (20, 100, 3))
    large = np.arange(100) % 10 > 0
    strong = np.random.default_rng(2).random((20, 100)) < 0.5
    first = np.where(large, 8.0, 2.0) * np.ones((20, 1))
    second = np.where(large, np.where(strong, 6.0, 3.0), np.where(strong, 1.5, 0.5))
    third = np.where(large, factor, 0.1) * np.ones((20, 1))
    return signs * np.stack([first, second, third], axis=-1)


def test_a_step_counts_as_much_as_the_layer_depends_on_it():
    frozen, _ = freeze_thresholds(_gated(), None, Sequences(_two_kinds_of_steps(0.1)))
    assert 3 <= frozen["t"].threshold[0] < 6  # most steps
    frozen, _ = freeze_thresholds(_gated(), None, Sequences(_two_kinds_of_steps(0.0)))
    assert 0.5 <= frozen["t"].threshold[0] < 1.5  # the others: these are multiplied by 0


def test_norms_behind_get_back_the_mean_and_deviation_of_their_output():
    rng = np.random.default_rng(3)
    data = rng.normal(size=(30, 40, 3)) * rng.lognormal(size=(30, 40, 1))
    data = np.clip(data, -9.0, 9.0)
    fields = (rng.normal(size=3), rng.uniform(0.1, 2, 3), rng.normal(size=3), rng.normal(size=3))
    norm = g.BatchNormNode("norm", ("layernorm",), *fields, 1e-5)
    front = g.BatchNormNode("front", ("input",), *fields, 1e-5)
    graph = _gated(norm, front, g.AddNode("add", ("norm", "front")))
    frozen, (_, approximation) = freeze_thresholds(graph, 0.4, Sequences(data))
    assert frozen["front"] is graph["front"]  # reads nothing that was replaced
    before = evaluate(graph, data, ["norm", "layernorm"])
    after = evaluate(frozen, data, ["norm", "layernorm"])
    assert np.abs(after["layernorm"] - before["layernorm"]).max() > 0.5
    for moment in (np.mean, np.std):
        got, wanted = (moment(values["norm"], axis=(0, 1)) for values in (after, before))
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)
    was, now = before["layernorm"], after["layernorm"]
    shift = np.abs(now.mean((0, 1)) - was.mean((0, 1))) / was.std((0, 1))
    assert approximation.name == "norm:statistics"
    assert approximation.max_error == pytest.approx(shift.max())


def test_a_layer_is_judged_with_those_before_it_replaced():
    # Each step, a channel of +-4 and one of +-3; dynamic threshold 2. A static one of 6
    # leaves no spike, so the second layer reads zeros: all its spikes change.
    signs = np.random.default_rng(4).choice([-1.0, 1.0], (5, 20, 2))
    data = signs * np.stack([np.full((5, 20), 4.0), np.full((5, 20), 3.0)], axis=-1)
    second = g.TernaryNode("u", ("t",), None, 0.5)
    graph = g.Graph((SOURCE, GRAPH["t"], second, g.MeanNode("mean", ("u",))))
    frozen, approximations = freeze_thresholds(graph, 3.0, Sequences(data))
    assert frozen["t"].threshold[0] == 6.0  # 3 times 2
    assert frozen["u"].threshold[0] == 1.5  # 3 times 0.5, of the trained network's spikes
    assert all("100.00% of the spikes change" in item.description for item in approximations)


def test_the_steps_kept_are_spread_over_all_samples(monkeypatch):
    from neurossm.compile import frontier

    monkeypatch.setattr(frontier, "_STEPS", 50)
    data = np.ones((64, 3, 2))
    data[32:, :, 1] = 0.6  # above half of 1, below 0.8
    frozen, (approximation,) = freeze_thresholds(GRAPH, 1.6, Sequences(data))
    assert frozen["t"].threshold[0] == 0.8
    assert "25.00% of the spikes change" in approximation.description


@pytest.mark.parametrize(("samples", "steps"), [(700, 784), (1400, 196), (20_000, 8), (9, 5)])
def test_every_place_of_a_sample_is_kept(samples, steps):
    from neurossm.compile.frontier import _STEPS, _every

    every = _every(samples * steps, steps)
    kept = np.arange(0, samples * steps, every) % steps
    assert set(kept) == set(range(steps))
    assert 1 <= kept.size <= max(_STEPS, samples * steps if every == 1 else 0)


def test_where_spikes_tell_nothing_the_mean_is_kept():
    data = np.full((1, 1, 2), 3.0)  # one step: nothing varies
    frozen, (approximation,) = freeze_thresholds(GRAPH, None, Sequences(data))
    assert frozen["t"].threshold.tolist() == [1.5, 1.5]
    assert "1 times the mean" in approximation.description
