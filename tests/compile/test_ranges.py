"""Ranges: proved ones hold for any input, calibrated ones for the data and their headroom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurossm import graph as g
from neurossm.compile.approximate import approximate
from neurossm.compile.calibration import walk
from neurossm.compile.fold import fold
from neurossm.compile.options import CompileOptions
from neurossm.compile.ranges import RangeObserver, proved_ranges
from neurossm.graph.evaluate import evaluate
from neurossm.graph.range import Range
from neurossm.graph.sequences import Sequences


def inside(value, reached: Range, slack=1e-9):
    flat = value.reshape(-1, value.shape[-1])
    scale = np.maximum(1, reached.largest())
    return (flat >= reached.low - slack * scale).all() and (
        flat <= reached.high + slack * scale
    ).all()


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
@pytest.mark.parametrize("pole_kind", ["lin", "undamped"])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("kind", ["uint8", "tokens", "float"])
def test_proved_ranges_hold_for_hostile_data(networks, kind, norm, pole_kind, mixer):
    graph = networks.random_graph(
        1, kind=kind, norm=norm, pole_kind=pole_kind, inputs=2, mixer=mixer, layer_norm=True
    )
    for stage in (graph, approximate(fold(graph), CompileOptions())[0]):
        ranges = proved_ranges(stage)
        assert ranges.states is None
        names = [node.name for node in stage.nodes]
        for seed in range(3):
            data = networks.random_data(stage.input, seed, batch=4, steps=150)
            values = evaluate(stage, data, names)
            for name in names:
                assert inside(values[name], ranges.tensors[name]), (name, seed)


ends = st.tuples(st.floats(-20, 20), st.floats(0, 20)).map(lambda t: (t[0], t[0] + t[1]))


@pytest.mark.parametrize(
    "node",
    [
        g.AffineNode("n", ("x",), [-2.0], [1.0]),
        g.BatchNormNode("n", ("x",), [1.0], [4.0], [-0.5], [2.0], 1e-5),
        g.LinearNode("n", ("x",), [[-3.0], [2.0]], [1.0, 0.0]),
        g.SigmoidNode("n", ("x",)),
        g.GELUNode("n", ("x",)),
        g.PiecewiseLinearNode("n", ("x",), "f", -2.0, 0, [1.0, -3, 0, 5], [2.0, -1, 0, 0.5], 0.1),
        g.SpikeNode("n", ("x",), [0.5]),
        g.TernaryNode("n", ("x",), [0.5], 0.1),
    ],
    ids=lambda node: type(node).__name__,
)
@given(ends)
@example((-0.99999, 0.0))  # ends where a segment of the table begins
def test_bounds_of_single_nodes_hold(node, interval):
    low, high = interval
    reached = node.bound(Range(np.array([low]), np.array([high])))
    assert inside(node.apply(np.linspace(low, high, 200)[:, None]), reached, 1e-12)


def test_bounds_by_hand():
    x = Range(np.array([-1.0, 2.0]), np.array([3.0, 5.0]))
    y = Range(np.array([-4.0, -1.0]), np.array([1.0, 2.0]))
    assert g.ProductNode("p", ("x", "y")).bound(x, y).low.tolist() == [-12.0, -5.0]
    assert g.ProductNode("p", ("x", "y")).bound(x, y).high.tolist() == [4.0, 10.0]
    assert g.AddNode("a", ("x", "y")).bound(x, y).low.tolist() == [-5.0, 1.0]
    reached = g.LinearNode("l", ("x",), [[2.0, -1.0]], [0.5]).bound(x)
    assert (reached.low.tolist(), reached.high.tolist()) == ([-6.5], [4.5])
    # GELU dips to -0.17004 at -0.7518
    dip = g.GELUNode("g", ("x",)).bound(Range(np.array([-3.0]), np.array([0.0])))
    assert dip.low[0] == pytest.approx(-0.1700, abs=2e-4)
    assert dip.high[0] == 0.0


def test_layer_norm_is_bounded_by_the_root_of_its_channels():
    node = g.LayerNormNode("n", ("x",), np.full(5, 2.0), np.full(5, 1.0), 1e-12)
    reached = node.bound(Range(np.full(5, -9.0), np.full(5, 9.0)))
    alone = node.apply(np.array([[9.0, 0, 0, 0, 0]]))  # one channel holds the whole variance
    assert alone[0, 0] <= reached.high[0] <= 1.2 * alone[0, 0]


@pytest.mark.parametrize(
    ("source", "low", "high"),
    [
        (g.InputNode("x", (), "uint8", 1, 0.0, 1.0, 1 / 255), 0.0, 1.0),
        (
            g.InputNode("x", (), "uint8", 1, 0.0, 1.0, 1.0),
            0.0,
            255.0,
        ),  # bytes reach 255 whatever high
        (g.InputNode("x", (), "tokens", 7, 0.0, 1.0, 1.0), 0.0, 6.0),
        (g.InputNode("x", (), "float", 1, -1.0, 4.0, 2.0), -2.0, 8.0),
        (g.InputNode("x", (), "float", 1, -1.0, 4.0, -2.0), -8.0, 2.0),
    ],
)
def test_inputs_reach_what_they_declare(source, low, high):
    reached = source.bound()
    assert reached.low.tolist() == pytest.approx([low])
    assert reached.high.tolist() == pytest.approx([high])


def test_ssm_bounds_are_nearly_reached_by_the_sign_pattern_of_the_kernel():
    rng = np.random.default_rng(0)
    p = 0.97 * np.exp(1j * rng.uniform(0.1, 3, (1, 4)))
    C = rng.normal(size=(1, 4)) + 1j * rng.normal(size=(1, 4))
    node = g.SSMNode("s", ("u",), p, np.ones((1, 4)), C, [0.7])
    reached = node.bound(Range(np.array([-2.0]), np.array([3.0])))
    kernel = [2 * (C * p**t).sum().real + 0.7 * (t == 0) for t in range(600)]
    for sign, limit in ((1, reached.high[0]), (-1, reached.low[0])):
        u = np.where(sign * np.array(kernel[::-1]) > 0, 3.0, -2.0)
        last = node.apply(u[None, :, None])[0, -1, 0]
        assert abs(last) <= abs(limit)
        assert last == pytest.approx(limit, rel=1e-3)


def test_calibrated_ranges_hold_the_data_and_their_headroom(networks):
    graph = approximate(fold(networks.random_graph(1)), CompileOptions())[0]
    x = networks.random_data(graph.input, 0, batch=40)
    observer = RangeObserver(graph)
    walk(graph, Sequences(x), [observer])
    for headroom in (0, 1, 3):
        ranges = observer.ranges(headroom)
        values = evaluate(graph, x, [node.name for node in graph.nodes])
        for node in graph.nodes:
            seen = values[node.name].reshape(-1, values[node.name].shape[-1])
            reached = ranges.tensors[node.name]
            assert inside(values[node.name], reached), node.name
            if isinstance(node, (g.LinearNode, g.AffineNode, g.SSMNode, g.ProductNode, g.AddNode)):
                largest = np.abs(seen).max(axis=0)
                np.testing.assert_allclose(reached.largest(), largest * 2**headroom, rtol=1e-12)
        assert ranges.states is not None
        for name, peak in ranges.states.items():
            node = graph[name]
            states = node.B_bar * node.states(values[node.inputs[0]])
            largest = np.maximum(np.abs(states.real), np.abs(states.imag)).max(axis=(0, 1))
            np.testing.assert_allclose(peak, largest * 2**headroom, rtol=1e-9)
            assert node.largest_states(values[node.inputs[0]]).shape == (4, 3)


def test_widening_moves_ends_away_from_zero_only():
    widened = Range(np.array([5.0, -6.0, -1.0]), np.array([6.0, -5.0, 2.0])).widened(2.0)
    assert widened.low.tolist() == [5.0, -12.0, -2.0]
    assert widened.high.tolist() == [12.0, -5.0, 4.0]
