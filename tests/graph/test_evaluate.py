"""Evaluation of every node against an independent formula in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.errors import InputError
from neurossm.graph.evaluate import GraphEvaluator, evaluate

X = [[[0.5, -1.0, 2.0], [-3.0, 0.25, 0.0]]]  # (1, 2, 3)


def each(function, x=X):
    return [[[function(v, h) for h, v in enumerate(step)] for step in sample] for sample in x]


def check(node, wanted, *inputs):
    got = node.apply(*(np.array(x) for x in inputs or (X,)))
    np.testing.assert_allclose(got, wanted, rtol=1e-14, atol=1e-14)


def test_input_scales():
    source = g.InputNode("x", (), "uint8", 1, 0.0, 1.0, 1 / 255)
    assert source.apply(np.array([[[255], [51]]], np.uint8)).tolist() == [[[1.0], [0.2]]]
    tokens = g.InputNode("x", (), "tokens", 9, 0.0, 1.0, 5.0)
    assert tokens.apply(np.array([[[7]]])).tolist() == [[[7]]]  # an index is not scaled


def test_linear():
    weight, bias = [[1.0, 2.0, -1.0], [0.0, 0.5, 3.0]], [0.25, -1.0]
    wanted = []
    for step in X[0]:
        products = [[w * v for w, v in zip(row, step, strict=True)] for row in weight]
        wanted.append([sum(row) + b for row, b in zip(products, bias, strict=True)])
    check(g.LinearNode("l", ("x",), weight, bias), [wanted])


def test_embedding():
    node = g.EmbeddingNode("e", ("x",), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert node.apply(np.array([[[2], [0]]])).tolist() == [[[5.0, 6.0], [1.0, 2.0]]]


def test_batch_norm():
    mean, var, gain, bias, eps = (
        [1.0, 0.0, -2.0],
        [4.0, 0.0, 9.0],
        [2.0, -1.0, 0.5],
        [0.1, 0, 3],
        0.25,
    )

    def wanted(v, h):
        return (v - mean[h]) / math.sqrt(var[h] + eps) * gain[h] + bias[h]

    check(g.BatchNormNode("b", ("x",), mean, var, gain, bias, eps), each(wanted))


def test_layer_norm_divides_by_the_number_of_channels():
    gain, bias, eps = [2.0, -1.0, 0.5], [0.1, 0.0, 3.0], 0.25
    wanted = []
    for step in X[0]:
        mean = sum(step) / 3
        var = sum((v - mean) ** 2 for v in step) / 3
        wanted.append(
            [
                (v - mean) / math.sqrt(var + eps) * k + b
                for v, k, b in zip(step, gain, bias, strict=True)
            ]
        )
    check(g.LayerNormNode("n", ("x",), gain, bias, eps), [wanted])


def test_affine():
    scale, shift = [2.0, -1.0, 0.5], [0.1, 0.0, 3.0]
    check(g.AffineNode("a", ("x",), scale, shift), each(lambda v, h: scale[h] * v + shift[h]))


def test_spike_is_strict():
    node = g.SpikeNode("s", ("x",), [0.5, -2.0, 1.0])
    assert node.apply(np.array(X)).tolist() == [[[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]]


def test_ternary_static_and_dynamic():
    node = g.TernaryNode("t", ("x",), [0.5, 0.5, 0.0], 9.0)
    assert node.apply(np.array(X)).tolist() == [[[0.0, -1.0, 1.0], [-1.0, 0.0, 0.0]]]
    # per step: half of the largest magnitude is 1 (from 2) and 1.5 (from -3)
    node = g.TernaryNode("t", ("x",), None, 0.5)
    assert node.apply(np.array(X)).tolist() == [[[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]]]


def test_sigmoid_and_gelu():
    check(g.SigmoidNode("s", ("x",)), each(lambda v, h: 1 / (1 + math.exp(-v))))
    check(g.GELUNode("g", ("x",)), each(lambda v, h: v * (1 + math.erf(v / math.sqrt(2))) / 2))


def test_piecewise_linear():
    # segments of width 1/2 from -1: [.., -0.5), [-0.5, 0), [0, ..)
    base, slope = [1.0, 5.0, -2.0], [2.0, 0.5, -1.0]
    node = g.PiecewiseLinearNode("p", ("x",), "f", -1.0, 1, base, slope, 0.0)
    x = np.array([[[-3.0, -1.0, -0.51, -0.5, -0.25, 0.0, 4.0]]])
    # 1 + 2 (-2); 1; 1 + 2 * 0.49; 5; 5 + 0.5 / 4; -2; -2 - 4
    wanted = [[[-3.0, 1.0, 1.98, 5.0, 5.125, -2.0, -6.0]]]
    np.testing.assert_allclose(node.apply(x), wanted, rtol=1e-14)


def test_product_add_mean():
    y = [[[2.0, 3.0, -1.0], [0.0, 4.0, 5.0]]]
    check(g.ProductNode("p", ("x", "y")), [[[1.0, -3.0, -2.0], [0.0, 1.0, 0.0]]], X, y)
    check(g.AddNode("a", ("x", "y")), [[[2.5, 2.0, 1.0], [-3.0, 4.25, 5.0]]], X, y)
    check(g.MeanNode("m", ("x",)), [[-1.25, -0.375, 1.0]])


def recurrence(node: g.SSMNode, u: np.ndarray) -> tuple[list, list]:
    """Step the SSM of one channel in plain Python complex numbers; return y and the states."""
    A, B, C = ([complex(v) for v in part[0]] for part in (node.A_bar, node.B_bar, node.C))
    state, y, states = [0j] * len(A), [], []
    for now in u:
        state = [a * s + b * float(now) for a, s, b in zip(A, state, B, strict=True)]
        output = 2 * sum(c * s for c, s in zip(C, state, strict=True)).real
        y.append(output + float(node.D[0]) * float(now))
        states.append(list(state))
    return y, states


@pytest.mark.parametrize("kind", ["lin", "inv", "undamped", "real"])
@pytest.mark.parametrize("length", [1, 2, 3, 50, 257])
def test_ssm_is_its_recurrence(networks, kind, length):
    rng = np.random.default_rng(length)
    A_bar, B_bar = networks.poles(rng, kind, 1, 5)
    C = rng.normal(size=(1, 5)) + 1j * rng.normal(size=(1, 5))
    node = g.SSMNode("s", ("u",), A_bar, B_bar, C, [0.7])
    u = rng.normal(size=(1, length, 1))
    y, states = recurrence(node, u[0, :, 0])
    scale = max(1.0, np.abs(y).max())
    np.testing.assert_allclose(node.apply(u)[0, :, 0], y, atol=1e-12 * scale)
    np.testing.assert_allclose(B_bar * node.states(u)[0, :, 0], states, rtol=1e-10, atol=1e-12)
    kernel = [2 * sum((C * B_bar * A_bar**t)[0]).real for t in range(length)]
    np.testing.assert_allclose(node.kernel(length)[0], kernel, atol=1e-10 * scale)


def test_ssm_channels_and_samples_are_apart(networks):
    rng = np.random.default_rng(0)
    A_bar, B_bar = networks.poles(rng, "lin", 3, 2)
    C, D = rng.normal(size=(3, 2)) + 0j, rng.normal(size=3)
    u = rng.normal(size=(2, 20, 3))
    whole = g.SSMNode("s", ("u",), A_bar, B_bar, C, D).apply(u)
    for h in range(3):
        one = g.SSMNode("s", ("u",), *(part[h : h + 1] for part in (A_bar, B_bar, C, D)))
        for b in range(2):
            np.testing.assert_allclose(whole[b, :, h], recurrence(one, u[b, :, h])[0], atol=1e-12)


def test_a_network_is_its_nodes_in_order(networks):
    graph = networks.random_graph(3, blocks=2)
    x = networks.random_data(graph.input, 0)
    names = [node.name for node in graph.nodes]
    values = evaluate(graph, x, names)
    for node in graph.nodes[1:]:
        inputs = [values[name] for name in node.inputs]
        np.testing.assert_allclose(values[node.name], node.apply(*inputs), atol=1e-12)
    assert list(evaluate(graph, x)) == ["decoder"]
    assert np.array_equal(evaluate(graph, x)["decoder"], values["decoder"])


def test_groups_of_samples_change_nothing(networks, monkeypatch):
    graph = networks.random_graph(3, blocks=1)
    x = networks.random_data(graph.input, 0, batch=5)
    seen: list[int] = []
    steps = x.shape[0] * x.shape[1]

    def progress(_: str, done: int, total: int) -> None:
        assert total == steps
        seen.append(done * 5 // steps)

    whole = evaluate(graph, x, ["blocks.0.add"], progress)
    assert seen[-1] == 5
    count = len(seen)
    monkeypatch.setattr("neurossm.graph.evaluate._CHUNK_VALUES", 2 * 20 * 4)
    parts = evaluate(graph, x, ["blocks.0.add"], progress)
    assert seen[count:][-3:] == [2, 4, 5]
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], atol=1e-13)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 50])
def test_products_of_any_number_of_rows(rows):
    rng = np.random.default_rng(rows)
    x, weight = rng.integers(-9, 9, (rows, 3)) * 1.0, rng.integers(-9, 9, (4, 3)) * 1.0
    node = g.LinearNode("l", ("x",), weight, np.arange(4.0))
    assert np.array_equal(node.apply(x), x @ weight.T + np.arange(4.0))
    assert node.apply(x[None]).shape == (1, rows, 4)


def test_the_ssm_by_hand():
    # One channel, one mode: a quarter turn and half the length each step. u = 1, 0, 0:
    # s = 1, i/2, -1/4; B s = 2, i, -1/2; y = 2 Re((1 + i) 2 s) + 3 u = 7, -2, -1.
    node = g.SSMNode("s", ("x",), [[0.5j]], [[2.0]], [[1.0 + 1.0j]], [3.0])
    u = np.array([[[1.0], [0.0], [0.0]]])
    assert node.apply(u)[0, :, 0].tolist() == [7.0, -2.0, -1.0]
    assert node.states(u)[0, :, 0, 0].tolist() == [1, 0.5j, -0.25]
    assert node.largest_states(np.concatenate([u, -3 * u])).tolist() == [[6.0]]
    assert node.kernel(3).tolist() == [[4.0, -2.0, -1.0]]


def test_an_evaluator_records_what_the_graph_has(networks):
    graph = networks.random_graph(3, blocks=1)
    x = networks.random_data(graph.input, 0)
    found = GraphEvaluator(graph, ["blocks.0.add", "of another graph"])(x)
    assert set(found) == {"blocks.0.add", "decoder"}
    assert np.array_equal(found["decoder"], evaluate(graph, x)["decoder"])


def test_a_node_may_read_one_tensor_twice():
    source = g.InputNode("x", (), "float", 1, -9.0, 9.0, 1.0)
    graph = g.Graph(
        (source, g.AffineNode("a", ("x",), [2.0], [0.0]), g.ProductNode("p", ("a", "a")))
    )
    assert evaluate(graph, np.array([[3.0]]))["p"].tolist() == [[[36.0]]]


@pytest.mark.parametrize("name", ["nothing", "encoder.state", "blocks.0.ssm.states"])
def test_unknown_records_are_refused(networks, name):
    graph = networks.random_graph(3, blocks=1)
    with pytest.raises(InputError, match=f"the graph has no tensor '{name}'"):
        evaluate(graph, networks.random_data(graph.input, 0), [name])


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("uint8", np.zeros((1, 3, 1)), "dtype float64, .* expected uint8"),
        ("uint8", np.zeros((1, 3, 2), np.uint8), r"expects \(samples, steps\)"),
        ("uint8", np.zeros((1, 0, 1), np.uint8), "no samples or no steps"),
        ("uint8", np.zeros((0, 3), np.uint8), "no samples or no steps"),
        ("tokens", np.zeros((1, 3)), "'tokens': expected integers"),
        ("tokens", np.array([[0, 5]]), r"from 0 to 5, outside the declared range \[0, 4\]"),
        ("tokens", np.array([[-1, 0]]), "from -1 to 0, outside"),
        (
            "float",
            np.zeros((1, 3, 5), int),
            r"floating-point numbers of at most 64 bits in \[-1.5, 2.25\]",
        ),
        ("float", np.full((1, 3, 5), np.nan), "NaN or infinite"),
        ("float", np.full((1, 3, 5), 2.26), "outside the declared range"),
        ("float", np.zeros((1, 3)), r"expects \(samples, steps, 5\)"),
    ],
)
def test_data_are_checked(networks, kind, data, message):
    graph = networks.random_graph(0, kind=kind, inputs=1 if kind == "uint8" else 5, blocks=1)
    with pytest.raises(InputError, match=message) as caught:
        evaluate(graph, data)
    assert "\n" not in str(caught.value)
