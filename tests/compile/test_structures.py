"""Graphs that no trainer makes: anything may read anything, whatever the weights."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm import graph as g
from neurossm import program as p
from neurossm.compile import CompileOptions, compile_model
from neurossm.errors import UnsupportedError
from neurossm.graph.evaluate import evaluate
from neurossm.program.certificate import certificates
from neurossm.program.reference import run

H = 4
CALIBRATED = CompileOptions(scaling="calibrated")


def checked(networks, graph, options=None, error=0.05):
    """Compile and run a graph whose integers must follow the floats; return the program."""
    x = networks.random_data(graph.input, 1, batch=4, steps=50)
    options = options or CompileOptions()
    calibration = x if options.scaling == "calibrated" else None
    program = compile_model(graph, options=options, calibration=calibration)
    ran = run(program, x)
    logits, wanted = program.readout.out.to_float(ran.logits), evaluate(graph, x)["decoder"]
    assert np.abs(logits - wanted).max() < error * max(np.abs(wanted).max(), 1e-9)
    if options.scaling == "proved":
        assert ran.saturations == {}
        assert all(row.proved for row in certificates(program))
    return program


def ssm(name, source, rng):
    C = rng.normal(size=(H, 2)) + 1j * rng.normal(size=(H, 2))
    A = np.full((H, 2), 0.7 + 0.4j) * rng.uniform(0.5, 1, (H, 2))
    return g.SSMNode(name, (source,), A, np.ones((H, 2)), C, rng.normal(size=H))


def table(name, source):
    return g.SigmoidNode(name, (source,))


def makers(rng):
    """Return, by name, the nodes that compute a tensor of each kind from `encoder` or `input`."""
    ones, none = np.ones(H), np.zeros(H)
    return {
        "input": (),
        "encoder": (),
        "ssm": (ssm("ssm", "encoder", rng),),
        "spike": (g.SpikeNode("spike", ("encoder",), none + 0.1),),
        "ternary": (g.TernaryNode("ternary", ("encoder",), ones / 2, 0.15),),
        "linear": (g.LinearNode("linear", ("encoder",), rng.normal(size=(H, H)), ones / 3),),
        "affine": (g.AffineNode("affine", ("encoder",), 2 * ones, ones / 5),),
        "sigmoid": (table("sigmoid", "encoder"),),
        "gelu": (g.GELUNode("gelu", ("encoder",)),),
        "product": (g.ProductNode("product", ("encoder", "encoder")),),
        "norm": (g.LayerNormNode("norm", ("encoder",), ones, none, 1e-5),),
        "batchnorm": (g.BatchNormNode("batchnorm", ("encoder",), none, ones, ones, none, 1e-5),),
        "add": (g.AddNode("add", ("encoder", "input")),),
    }


def readers(source, rng):
    """Return, by name, nodes that read a tensor and end in `end`."""
    ones, none = np.ones(H), np.zeros(H)
    weight = rng.normal(size=(H, H))
    return {
        "mean": (g.AffineNode("side", (source,), ones, none), g.AddNode("end", ("side", source))),
        "add": (g.AddNode("end", (source, "encoder")),),
        "add itself": (g.AddNode("end", (source, source)),),
        "ssm": (ssm("last", source, rng), g.AddNode("end", ("last", "encoder"))),
        "linear": (g.LinearNode("last", (source,), weight, ones),
                   g.AddNode("end", ("last", source))),
        "linear alone": (g.LinearNode("end", (source,), weight, ones),),
        "identity": (g.LinearNode("last", (source,), np.eye(H), none),
                     g.AddNode("end", ("last", "encoder"))),
        "zero": (g.LinearNode("last", (source,), 0 * weight, none),
                 g.AddNode("end", ("last", "encoder"))),
        "ternary weights": (g.LinearNode("last", (source,), np.sign(weight), none),
                            g.LayerNormNode("end", ("last",), ones, none, 1e-5)),
        "layernorm": (g.LayerNormNode("end", (source,), ones, ones, 1e-5),),
        "sigmoid": (table("last", source), g.ProductNode("end", ("last", source))),
        "gelu": (g.GELUNode("end", (source,)),),
        "product": (g.ProductNode("end", (source, "encoder")),),
        "affine": (g.AffineNode("end", (source,), -ones, ones),),
    }  # fmt: skip


def whole(kind, *nodes, end="end", scale=1 / 255, decoder=None):
    rng = np.random.default_rng(3)
    encoder = np.eye(H) + 0.2 * rng.normal(size=(H, H))
    return g.Graph(
        (
            g.InputNode("input", (), kind, H, -1.0, 1.5, scale),
            g.LinearNode("encoder", ("input",), encoder, rng.normal(size=H) / 4),
            *nodes,
            g.MeanNode("mean", (end,)),
            g.LinearNode(
                "decoder",
                ("mean",),
                rng.normal(size=(3, H)) if decoder is None else decoder,
                np.ones(3),
            ),
        )
    )


@pytest.mark.parametrize("options", [None, CALIBRATED], ids=["proved", "calibrated"])
@pytest.mark.parametrize("source", list(makers(np.random.default_rng(0))))
def test_anything_may_read_anything(networks, source, options):
    rng = np.random.default_rng(7)
    made = makers(rng)[source]
    for name, nodes in readers(source, rng).items():
        kind, scale = ("float", 1.0) if name == "add" else ("uint8", 1 / 255)
        try:
            checked(networks, whole(kind, *made, *nodes, scale=scale), options, error=0.1)
        except Exception as error:
            raise AssertionError(f"{source} -> {name}: {error}") from error


@pytest.mark.parametrize("source", ["input", "ssm", "spike", "ternary", "sigmoid", "product"])
def test_a_mean_may_read_anything(networks, source):
    made = makers(np.random.default_rng(7))[source]
    checked(networks, whole("uint8", *made, end=source))


WEIGHTS = {
    "half": 0.5 * np.eye(H),
    "identity": np.eye(H),
    "zero": np.zeros((H, H)),
    "one row": np.eye(H)[:1],
    "ternary": np.array([[1, -1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [-1, -1, -1, -1]]),
    "nearly ternary": np.array([[1, -1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1e-9], [-1, 0, 0, 0]]),
}


@pytest.mark.parametrize("behind", ["add", "ssm", "linear", "layernorm", "product", "affine"])
@pytest.mark.parametrize("weight", list(WEIGHTS))
def test_what_is_accepted_does_not_depend_on_weights(networks, weight, behind):
    """SSM -> Linear -> anything, for weights that look like a GSU's and for others."""
    rng = np.random.default_rng(2)
    matrix = WEIGHTS[weight]
    if len(matrix) == 1:
        matrix = np.repeat(matrix, H, axis=0)
    second = g.LinearNode("second", ("ssm",), matrix, np.zeros(H))
    checked(
        networks,
        whole("uint8", ssm("ssm", "encoder", rng), second, *readers("second", rng)[behind]),
        error=0.1,
    )


def test_one_row_of_weights_and_one_channel(networks):
    rng = np.random.default_rng(2)
    one = np.ones(1)
    nodes = (
        ssm("ssm", "encoder", rng),
        g.LinearNode("row", ("ssm",), rng.normal(size=(1, H)), one),
        g.SSMNode("last", ("row",), [[0.8 + 0.1j]], [[1.0]], [[1.0]], one),
        g.AddNode("end", ("last", "row")),
    )
    graph = whole("uint8", *nodes, decoder=rng.normal(size=(3, 1)))
    checked(networks, graph)


def test_wide_sums_are_narrowed_not_refused(networks):
    """128 residual channels of 24 bits times weights of 8: 2^37, brought to what 32 bits hold."""
    rng = np.random.default_rng(5)
    size = 128
    graph = g.Graph(
        (
            g.InputNode("input", (), "uint8", 1, 0.0, 1.0, 1 / 255),
            g.LinearNode("encoder", ("input",), rng.normal(size=(size, 1)), rng.normal(size=size)),
            g.LinearNode("mix", ("encoder",), rng.normal(size=(size, size)) / 11, np.zeros(size)),
            g.AddNode("end", ("mix", "encoder")),
            g.MeanNode("mean", ("end",)),
            g.LinearNode("decoder", ("mean",), rng.normal(size=(3, size)) / 11, np.zeros(3)),
        )
    )
    program = checked(networks, graph)
    narrowed, dense = program["encoder:graded"], program["mix:sum"]
    assert dense.inputs == (narrowed.name,)
    rows = np.abs(dense.weight).sum(axis=1).max()
    assert 2.0**28 < rows * 2.0 ** (narrowed.out.bits - 1) < 2.0**30


def test_one_tensor_serves_many_readers(networks):
    """An SSM's output read as it is, graded, added, tabulated, averaged: an Affine for each."""
    rng = np.random.default_rng(4)
    ones, none = np.ones(H), np.zeros(H)
    nodes = (
        ssm("ssm", "encoder", rng),
        g.SpikeNode("spike", ("ssm",), none),
        g.LinearNode("one", ("ssm",), rng.normal(size=(H, H)), ones),
        g.LinearNode("two", ("ssm",), np.sign(rng.normal(size=(H, H))), none),
        g.LinearNode("three", ("spike",), rng.normal(size=(H, H)), ones),
        g.SigmoidNode("gate", ("ssm",)),
        g.SigmoidNode("other gate", ("ssm",)),
        g.ProductNode("product", ("two", "gate")),
        g.ProductNode("square", ("ssm", "other gate")),
        g.AddNode("first", ("ssm", "one")),
        g.AddNode("second", ("product", "square")),
        g.AddNode("third", ("spike", "three")),
        g.AddNode("fourth", ("first", "second")),
        g.AddNode("end", ("fourth", "third")),
    )
    program = checked(networks, whole("uint8", *nodes), error=0.1)
    parts = [op.name for op in program.ops if op.name.startswith("ssm:")]
    assert sorted(parts) == ["ssm:drive", "ssm:graded", "ssm:stream", "ssm:table"]
    assert isinstance(program["two"], p.Dense)  # ternary sums go into the product as they are


@pytest.mark.parametrize(
    "extra",
    [g.SigmoidNode("gate", ("mean",)), g.LinearNode("other", ("mean",), np.eye(H), np.zeros(H))],
)
def test_what_else_reads_the_mean_is_refused(extra):
    graph = whole("uint8", end="encoder")
    nodes = (*graph.nodes[:-1], extra, graph.nodes[-1])
    with pytest.raises(UnsupportedError, match=f"{extra.name}: reads 'mean', a pool over time"):
        compile_model(graph.with_nodes(nodes))


@pytest.mark.parametrize("seed", range(12))
def test_random_skip_links(networks, seed):
    """Every node reads any tensors before it."""
    rng = np.random.default_rng(seed)
    nodes, names = [], ["encoder", "input"]
    for i in range(12):
        a, b = rng.choice(names, 2)
        weight = [np.eye(H), np.zeros((H, H)), rng.normal(size=(H, H)) / 2][rng.integers(3)]
        name = f"n{i}"
        choice = [
            g.AddNode(name, (a, b)),
            g.AddNode(name, (a, b)),
            g.LinearNode(name, (a,), weight, rng.normal(size=H) / 3),
            g.LinearNode(name, (a,), np.sign(weight), np.zeros(H)),
            ssm(name, a, rng),
            g.SpikeNode(name, (a,), rng.normal(size=H)),
            g.SigmoidNode(name, (a,)),
            g.AffineNode(name, (a,), rng.normal(size=H), rng.normal(size=H) / 3),
            g.LayerNormNode(name, (a,), np.ones(H), np.zeros(H), 1e-3),
        ][rng.integers(9)]
        nodes.append(choice)
        names.append(name)
    graph = whole("uint8", *nodes, end=names[-1])
    x = networks.random_data(graph.input, 1, batch=2, steps=30)
    program = compile_model(graph)
    assert all(row.proved for row in certificates(program))
    assert run(program, x).saturations == {}
