"""Calibration data: a stated part decides means, all of them extremes, and no walk is repeated."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.arrays import same
from neurossm.compile import CompileOptions, calibration, compile_model, compiler, prepare
from neurossm.compile.calibration import LEAST_SAMPLES, STEPS, Calibration
from neurossm.datafile import Data
from neurossm.errors import InputError
from neurossm.graph.evaluate import GraphEvaluator, evaluate

CALIBRATED = CompileOptions(scaling="calibrated")


@pytest.fixture(scope="module")
def graph(networks):
    return networks.random_graph(1, mixer="gsu", layer_norm=True)


def dynamic(graph):
    """Return the graph with thresholds as they are in training."""
    return graph.with_nodes(
        g.TernaryNode(node.name, node.inputs, None, node.factor, layer=node.layer)
        if isinstance(node, g.TernaryNode)
        else node
        for node in graph.nodes
    )


@pytest.mark.parametrize(
    ("samples", "steps", "used"),
    [
        (64, 784, 64),  # 50,176 steps: none fewer would do
        (10_000, 784, 64),
        (63, 784, 63),
        (100_000, 1, STEPS),
        (20, 16_384, LEAST_SAMPLES),
        (5, 16_384, 5),
    ],
)
def test_so_many_samples_are_used(graph, samples, steps, used):
    data = np.broadcast_to(np.zeros(1, np.uint8), (samples, steps, 1))
    chosen = Calibration.of(graph, data)
    assert len(chosen.chosen) == len(set(chosen.chosen)) == used
    assert (np.diff(chosen.chosen) > 0).all()
    assert len(chosen.part) + len(chosen.rest) == samples
    assert chosen.stated()["used"] == used


def test_the_part_is_the_same_each_time_and_not_the_first(graph, monkeypatch):
    monkeypatch.setattr(calibration, "STEPS", 200)
    data = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 10, 1), np.uint8)
    first, second = (Calibration.of(graph, data) for _ in range(2))
    assert np.array_equal(first.part.x, second.part.x)
    assert not np.array_equal(first.part.x, data[:20])
    assert sorted([*first.part.x[:, 0, 0], *first.rest.x[:, 0, 0]]) == list(range(40))


def test_what_was_used_is_stated_in_the_program(graph, networks, monkeypatch):
    data = networks.random_data(graph.input, 0, batch=30, steps=20)
    whole = compile_model(graph, calibration=data)
    assert whole.provenance["calibration"] == {"samples": 30, "used": 30, "seed": None}
    monkeypatch.setattr(calibration, "STEPS", 400)
    part = compile_model(graph, calibration=data)
    assert part.provenance["calibration"] == {"samples": 30, "used": 20, "seed": 0}
    assert "calibration" not in compile_model(graph).provenance


def test_extremes_of_the_other_samples_count_too(graph, networks, monkeypatch):
    """Ranges of calibrated scaling hold every sample, also those that means leave out."""
    monkeypatch.setattr(calibration, "STEPS", 200)
    monkeypatch.setattr(calibration, "LEAST_SAMPLES", 1)
    data = networks.random_data(graph.input, 0, batch=60, steps=20)
    options = CompileOptions(scaling="calibrated", headroom_bits=0)
    prepared = prepare(graph, options=options, calibration=data)
    seen = evaluate(prepared.graph, data, ["blocks.1.ssm"])["blocks.1.ssm"]
    largest = np.abs(seen).max(axis=(0, 1))
    np.testing.assert_allclose(prepared.ranges.tensors["blocks.1.ssm"].largest(), largest)
    part = Calibration.of(graph, data).part
    of_part = evaluate(prepared.graph, part.x, ["blocks.1.ssm"])["blocks.1.ssm"]
    assert (np.abs(of_part).max(axis=(0, 1)) < largest).any()


@pytest.mark.parametrize(("options", "walks"), [(CompileOptions(), 0), (CALIBRATED, 1)])
def test_a_graph_is_walked_once_over_each_sample(graph, networks, monkeypatch, options, walks):
    """Static thresholds: one walk for all. Dynamic ones: theirs serve the rounding, too."""
    evaluated = []
    call = GraphEvaluator.__call__
    monkeypatch.setattr(
        GraphEvaluator,
        "__call__",
        lambda self, data: evaluated.append(len(data)) or call(self, data),
    )
    data = networks.random_data(graph.input, 0, batch=40, steps=20)
    prepare(graph, options=options, calibration=data)
    assert sum(evaluated) == 40
    evaluated.clear()
    prepare(dynamic(graph), options=options, calibration=data)
    assert sum(evaluated) == 40 * walks


def test_long_samples_are_walked_over_few_at_a_time(graph, networks, monkeypatch):
    """20 samples of 30 steps and 4 channels, one tensor: 120 values each, and 360 at once are 3."""
    samples = Calibration.of(graph, networks.random_data(graph.input, 0, batch=20, steps=30)).data

    class Seen:
        names = ("blocks.1.ssm",)

        def __init__(self):
            self.values = []

        def add(self, values):
            self.values.append(values["blocks.1.ssm"])

    assert graph.channels()["blocks.1.ssm"] == 4
    few, all_at_once = Seen(), Seen()
    calibration.walk(graph, samples, [all_at_once])
    monkeypatch.setattr(calibration, "_VALUES", 360)
    calibration.walk(graph, samples, [few])
    assert [len(values) for values in all_at_once.values] == [16, 4]
    assert [len(values) for values in few.values] == [3] * 6 + [2]
    joined = [np.concatenate(seen.values) for seen in (few, all_at_once)]
    np.testing.assert_array_equal(*joined)


def test_walks_of_thresholds_and_of_the_whole_graph_see_the_same(graph, networks):
    """The statistics gathered beside the thresholds are those of the graph that comes out."""
    data = networks.random_data(graph.input, 0, batch=20, steps=30)
    prepared = prepare(dynamic(graph), calibration=data)
    for name in ("blocks.0.second", "blocks.1.first"):
        source = prepared.graph[name].inputs[0]
        values = evaluate(prepared.graph, data, [source])[source].reshape(-1, 4)
        found = prepared.statistics[name]
        np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-9, atol=1e-9)
        covariance = np.cov(values.T, bias=True)
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-6, atol=1e-9)


def test_progress_reaches_the_number_of_steps(graph, networks, monkeypatch):
    monkeypatch.setattr(calibration, "STEPS", 400)
    data = networks.random_data(graph.input, 0, batch=50, steps=20)
    for options, total in ((CompileOptions(), 20), (CALIBRATED, 50)):
        told = []
        compile_model(
            graph,
            options=options,
            calibration=data,
            progress=lambda *steps, told=told: told.append(steps),
        )
        assert told == sorted(told)
        assert told[-1] == ("calibrating", 20 * total, 20 * total)
        assert len(told) > 1


def test_unsuitable_data_are_refused(graph):
    with pytest.raises(InputError, match="calibration data: .* expected uint8"):
        Calibration.of(graph, np.zeros((2, 5, 1)))
    with pytest.raises(InputError, match="calibration data: .* no samples or no steps"):
        Calibration.of(graph, np.zeros((0, 5, 1), np.uint8))


def test_a_model_is_read_and_placed_once(networks, monkeypatch, tmp_path):
    graph = networks.random_graph(0)
    graph.save(tmp_path / "g.h5")
    placed, loaded = [], []
    place, load = compiler.place, g.Graph.load
    monkeypatch.setattr(compiler, "place", lambda *a: placed.append(a) or place(*a))
    monkeypatch.setattr(g.Graph, "load", staticmethod(lambda p: loaded.append(p) or load(p)))
    compile_model(tmp_path / "g.h5")
    assert len(placed) == len(loaded) == 1


def test_what_stands_after_a_samples_end_calibrates_nothing(graph, networks):
    """The same program as from the valid steps alone, whatever they are padded with."""
    data = networks.random_data(graph.input, 0, batch=12, steps=20)
    whole, cut = np.repeat([20, 7], 6), data.copy()
    cut[6:, 7:] = 0
    programs = [
        prepare(dynamic(graph), options=CALIBRATED, calibration=Data(x, lengths=whole)).compile()
        for x in (data, cut)
    ]
    assert same(programs[0].ops, programs[1].ops)
    ranges = prepare(graph, options=CALIBRATED, calibration=Data(data, lengths=whole)).ranges
    seen = [evaluate(graph, x, ["encoder"])["encoder"] for x in (data[:6], data[6:, :7])]
    largest = np.max([np.abs(values).max(axis=(0, 1)) for values in seen], axis=0)
    headroom = 2.0**CALIBRATED.headroom_bits
    np.testing.assert_allclose(ranges.tensors["encoder"].largest(), largest * headroom)
