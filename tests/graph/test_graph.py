"""The float graph: what holds it together, and its file."""

from __future__ import annotations

from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from neurossm import graph as g
from neurossm.arrays import same
from neurossm.errors import FormatError, InputError
from neurossm.graph.nodes import NODE_TYPES
from neurossm.storage import seal

RNG = np.random.default_rng(0)


def example(kind: type[g.Node]) -> g.Node:
    """Return a node of this type that reads tensors of three channels called x, y."""
    one, many = ("x",), ("x", "y")
    v, w = RNG.normal(size=3), RNG.normal(size=(2, 3))
    z = 0.5 * np.exp(1j * RNG.normal(size=(3, 2)))
    made = {
        g.InputNode: lambda: g.InputNode("n", (), "float", 3, -1.5, 2.0, 0.25),
        g.LinearNode: lambda: g.LinearNode("n", one, w, w[:, 0]),
        g.EmbeddingNode: lambda: g.EmbeddingNode("n", one, w),
        g.BatchNormNode: lambda: g.BatchNormNode("n", one, v, v**2, -v, v, 1e-5),
        g.LayerNormNode: lambda: g.LayerNormNode("n", one, v, -v, 1e-5),
        g.AffineNode: lambda: g.AffineNode("n", one, v, -v),
        g.SSMNode: lambda: g.SSMNode("n", one, z, 2 * z, z**2, v),
        g.SpikeNode: lambda: g.SpikeNode("n", one, v),
        g.TernaryNode: lambda: g.TernaryNode("n", one, v**2, 0.15),
        g.SigmoidNode: lambda: g.SigmoidNode("n", one),
        g.GELUNode: lambda: g.GELUNode("n", one),
        g.ReLUNode: lambda: g.ReLUNode("n", one),
        g.LIFNode: lambda: g.LIFNode("n", one, 0.9 * v**2 / (v**2).max(), v),
        g.PiecewiseLinearNode: lambda: g.PiecewiseLinearNode("n", one, "f", -1.0, 2, v, -v, 0.1),
        g.ProductNode: lambda: g.ProductNode("n", many),
        g.AddNode: lambda: g.AddNode("n", many),
        g.MeanNode: lambda: g.MeanNode("n", one),
        g.LastNode: lambda: g.LastNode("n", one),
        g.MaxNode: lambda: g.MaxNode("n", one),
        g.EachNode: lambda: g.EachNode("n", one),
        g.AdLIFNode: lambda: g.AdLIFNode("n", one, v, v, v**2 / 9, v**2 / 8, v, v, v),
        g.ResonateFireNode: lambda: g.ResonateFireNode("n", one, v, v, v + 1j, 1j * v),
        g.SoftmaxNode: lambda: g.SoftmaxNode("n", one),
    }
    return made[kind]()


@pytest.mark.parametrize("kind", list(NODE_TYPES.values()), ids=list(NODE_TYPES))
def test_every_node_survives_its_file_and_differs_from_any_change(kind, tmp_path):
    node = example(kind)
    x = g.InputNode("x", (), "tokens" if kind is g.EmbeddingNode else "float", 3, -1.0, 1.0, 1.0)
    if kind is g.EmbeddingNode:
        x = replace(x, size=2)
    nodes = (node,) if kind is g.InputNode else (x, *_second(node), node)
    graph = g.Graph(nodes, {"source": "a", "n": 1})
    graph.save(tmp_path / "g.h5")
    loaded = g.Graph.load(tmp_path / "g.h5")
    assert graph.same_as(loaded)
    again = loaded["n"]
    for field in fields(node):
        value, read = getattr(node, field.name), getattr(again, field.name)
        assert same(value, read), field.name
        if isinstance(value, np.ndarray):
            changed = value.copy()
            changed.flat[-1] *= 1 + 2.0**-50
            assert not same(replace(node, **{field.name: changed}), again), field.name


def _second(node: g.Node) -> tuple[g.Node, ...]:
    return (g.AffineNode("y", ("x",), np.ones(3), np.ones(3)),) if node.arity == 2 else ()


def test_a_dynamic_threshold_survives(tmp_path):
    x = g.InputNode("x", (), "float", 3, -1.0, 1.0, 1.0)
    graph = g.Graph((x, g.TernaryNode("t", ("x",), None, 0.15)))
    graph.save(tmp_path / "g.h5")
    loaded = g.Graph.load(tmp_path / "g.h5")
    assert loaded["t"].threshold is None
    assert graph.same_as(loaded)


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_networks_survive_their_file_in_order(networks, tmp_path, norm, mixer):
    graph = networks.random_graph(1, norm=norm, mixer=mixer, layer_norm=mixer == "gsu")
    graph.save(tmp_path / "g.h5")
    loaded = g.Graph.load(tmp_path / "g.h5")
    assert [node.name for node in loaded.nodes] == [node.name for node in graph.nodes]
    assert graph.same_as(loaded)
    assert not graph.same_as(replace(loaded, provenance={"seed": 2}))


X = g.InputNode("x", (), "float", 2, -1.0, 1.0, 1.0)
TWO = np.ones(2)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "first node must be the Input"),
        ((g.MeanNode("m", ("x",)),), "first node must be the Input"),
        ((X, X), "more than one Input"),
        ((X, replace(X, name="y")), "more than one Input"),
        ((X, g.SigmoidNode("a", ("x",)), g.GELUNode("a", ("x",))), "two nodes are called 'a'"),
        ((X, g.SigmoidNode("a", ("b",))), "a: reads 'b', which does not come before it"),
        ((X, g.SigmoidNode("a", ("a",))), "a: reads 'a', which does not come before it"),
        (
            (X, g.AffineNode("a", ("x",), np.ones(3), np.ones(3))),
            "reads 2 channels from x, expected 3",
        ),
        (
            (X, g.LinearNode("a", ("x",), np.ones((2, 3)), TWO)),
            "reads 2 channels from x, expected 3",
        ),
        ((X, g.SpikeNode("a", ("x",), np.ones(3))), "expected 3"),
        ((X, g.LayerNormNode("a", ("x",), np.ones(3), np.ones(3), 1e-5)), "expected 3"),
        ((X, g.TernaryNode("a", ("x",), np.ones(3), 0.1)), "expected 3"),
        (
            (X, g.LinearNode("a", ("x",), np.ones((3, 2)), np.ones(3)), g.AddNode("b", ("x", "a"))),
            "reads 3 channels from x, a, expected 2",
        ),
        ((X, g.EmbeddingNode("a", ("x",), np.ones((5, 3)))), "'tokens' only"),
        (
            (replace(X, kind="tokens", size=6), g.EmbeddingNode("a", ("x",), np.ones((5, 3)))),
            "5 rows for a vocabulary of 6 tokens",
        ),
        (
            (X, g.MeanNode("m", ("x",)), g.MeanNode("n", ("m",))),
            "n: reads 'm', which has no time steps",
        ),
        (
            (X, g.MeanNode("m", ("x",)), g.AddNode("n", ("x", "m"))),
            "n: reads x and m, of which only one has time steps",
        ),
        (
            (
                X,
                g.MeanNode("m", ("x",)),
                g.SSMNode("n", ("m",), *(np.full((2, 1), 0.5 + 0j),) * 3, TWO),
            ),
            "n: reads 'm', which has no time steps",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(nodes, message):
    with pytest.raises(InputError, match=message) as caught:
        g.Graph(nodes)
    assert "\n" not in str(caught.value)


POLE = np.full((2, 1), 0.5 + 0j)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: g.SigmoidNode("a", ()), "a: SigmoidNode reads 1 tensors, not 0"),
        (lambda: g.AddNode("a", ("x",)), "a: AddNode reads 2 tensors, not 1"),
        (lambda: g.SigmoidNode("a/b", ("x",)), "cannot be a name"),
        (
            lambda: g.InputNode("x", (), "int4", 1, 0.0, 1.0, 1.0),
            "kind 'int4', expected one of uint8",
        ),
        (lambda: g.InputNode("x", (), "uint8", 0, 0.0, 1.0, 1.0), "size 0"),
        (lambda: g.InputNode("x", (), "float", 1, 1.0, 1.0, 1.0), "empty"),
        (lambda: g.InputNode("x", (), "float", 1, 0.0, np.inf, 1.0), "not finite"),
        (lambda: g.InputNode("x", (), "float", 1, 0.0, 1.0, np.nan), "not finite"),
        (lambda: g.LinearNode("a", ("x",), [[np.nan]], [0]), "a.weight: holds NaN"),
        (lambda: g.LinearNode("a", ("x",), [[1.0]], [0, 0]), r"a.bias: shape \(2,\), expected 1"),
        (lambda: g.LinearNode("a", ("x",), [[1j]], [0]), "complex128"),
        (lambda: g.BatchNormNode("a", ("x",), [0], [-1], [1], [1], 1e-5), "not positive"),
        (lambda: g.BatchNormNode("a", ("x",), [0], [0], [1], [1], 0.0), "not positive"),
        (lambda: g.BatchNormNode("a", ("x",), [0], [1], [1, 2], [1], 0.0), "a.gain: shape"),
        (lambda: g.LayerNormNode("a", ("x",), [1], [1], 0.0), "eps 0.0 is not positive"),
        (
            lambda: g.SSMNode("a", ("x",), 2 * POLE, POLE, POLE, TWO),
            r"mode 0 has \|A_bar\| = 1; a st",
        ),
        (lambda: g.SSMNode("a", ("x",), POLE, POLE, POLE, [1]), "a.D: shape"),
        (lambda: g.SSMNode("a", ("x",), POLE, POLE[:1], POLE, TWO), "a.B_bar: shape"),
        (lambda: g.TernaryNode("a", ("x",), [-0.1], 0.15), "negative threshold -0.1"),
        (lambda: g.TernaryNode("a", ("x",), None, -0.15), "negative factor -0.15"),
        (
            lambda: g.PiecewiseLinearNode("a", ("x",), "f", 0.0, 1, [1], [1, 2], 0.0),
            "a.slope: shape",
        ),
    ],
)
def test_bad_nodes_are_refused(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_nodes_are_looked_up(networks):
    graph = networks.random_graph(0, channels=5, blocks=1)
    assert graph.input.name == "input"
    assert graph.output.name == "decoder"
    assert graph["blocks.0.ssm"].inputs == ("blocks.0.norm",)
    assert [n.name for n in graph.readers("encoder")] == ["blocks.0.norm", "blocks.0.add"]
    assert graph.channels()["blocks.0.glu"] == 5
    with pytest.raises(KeyError):
        graph["nothing"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.modify("schema", "x"), "holds a 'x', expected a 'neurossm-graph'"),
        (lambda f: f.attrs.modify("version", 7), "version 7 is newer"),
        (lambda f: f.move("nodes", "n"), "group 'nodes' is missing"),
        (lambda f: f.__delitem__("provenance"), "text 'provenance' is missing"),
        (lambda f: f["nodes/encoder"].attrs.modify("type", "Conv"), "unknown type 'Conv'; known"),
        (lambda f: f["nodes/encoder"].attrs.modify("name", "e"), "says it is called 'e'"),
        (lambda f: f.__delitem__("nodes/encoder/weight"), "encoder: field 'weight' is missing"),
        (lambda f: f.__delitem__("nodes/encoder"), "reads 'encoder', which does not come before"),
        (lambda f: f["nodes/blocks.0.ssm/A_bar"].write_direct(np.full((4, 3), 2j)), "stable SSM"),
        (lambda f: f["nodes/encoder/weight"].write_direct(np.full((4, 1), np.nan)), "NaN"),
    ],
)
def test_damaged_files_are_refused_in_one_line(networks, tmp_path, change, message):
    path = tmp_path / "g.h5"
    networks.random_graph(0, blocks=1).save(path)
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)
    with pytest.raises(FormatError, match=message) as caught:
        g.Graph.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
