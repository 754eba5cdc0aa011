"""Names and layers: the compiler's own never meet a user's, and every operation has its layer."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.compile import CompileOptions, compile_model
from neurossm.compile.emit.builder import Builder
from neurossm.errors import InputError, LimitError
from neurossm.graph.evaluate import evaluate
from neurossm.naming import part_of
from neurossm.program.reference import run


def network(affine: str, ssm: str = "ssm") -> g.Graph:
    """Return an SSM whose output ternary weights and an Affine read, multiplied in the end."""
    rng = np.random.default_rng(0)
    return g.Graph(
        (
            g.InputNode("input", (), "uint8", 1, 0.0, 1.0, 1 / 255),
            g.LinearNode("encoder", ("input",), rng.normal(size=(4, 1)), rng.normal(size=4)),
            g.SSMNode(
                ssm, ("encoder",), np.full((4, 1), 0.6 + 0.3j), np.ones((4, 1)),
                rng.normal(size=(4, 1)) + 0j, rng.normal(size=4),
            ),
            g.AffineNode(affine, (ssm,), np.full(4, 3.0), np.zeros(4)),
            g.LinearNode("second", (ssm,),
                         [[1, 0, -1, 0], [0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0]],
                         np.zeros(4)),
            g.ProductNode("product", (affine, "second")),
            g.MeanNode("mean", ("product",)),
            g.LinearNode("decoder", ("mean",), rng.normal(size=(3, 4)), np.zeros(3)),
        )
    )  # fmt: skip


PARTS = ("graded", "sum", "drive", "stream", "data", "table", "threshold")


@pytest.mark.parametrize("part", PARTS)
def test_a_node_called_like_a_part_is_another_tensor(networks, part):
    """`ssm.graded` is the user's Affine: 3 y, not y brought to one exponent."""
    graph = network(f"ssm.{part}")
    x = networks.random_data(graph.input, 0, batch=4, steps=40)
    program = compile_model(graph)
    logits = program.readout.out.to_float(run(program, x).logits)
    wanted = evaluate(graph, x)["decoder"]
    assert np.abs(logits - wanted).max() < 0.02 * np.abs(wanted).max()
    assert wanted.std() > 0.1


@pytest.mark.parametrize("part", PARTS)
def test_names_of_the_compilers_own_are_refused(part):
    with pytest.raises(InputError, match=f"node 'ssm:{part}': names with ':' are the compiler's"):
        compile_model(network(part_of("ssm", part)))


def test_a_second_tensor_of_a_name_is_refused_not_overwritten(networks):
    graph = networks.random_graph(0)
    program = compile_model(graph)
    builder = Builder(graph, None, CompileOptions(), 32, None, {}, {})
    builder.add(program.input)
    with pytest.raises(LimitError, match="input: two tensors would have this name"):
        builder.add(program.input)


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_every_operation_has_the_layer_of_its_node(networks, mixer):
    """Layers are data: names that look like other layers change nothing."""
    graph = networks.random_graph(0, mixer=mixer)
    layers = {node.name: node.layer for node in compile_model(graph).graph.nodes}
    assert layers["blocks.1.ssm"] == "blocks.1"
    for op in compile_model(graph).ops:
        assert op.layer == layers[op.name.partition(":")[0]], op.name


def test_widths_follow_the_layer_not_the_name(networks):
    graph = networks.random_graph(0, blocks=1)
    renamed = {node.name: f"x{i}.9.y" for i, node in enumerate(graph.nodes)}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(renamed[name] for name in node.inputs)
        fields = {"name": renamed[node.name], "inputs": inputs}
        nodes.append(type(node)(**{**vars(node), **fields}))
    options = CompileOptions(layers={"blocks.0": {"state": 20}})
    states = [
        op.state_bits
        for op in compile_model(g.Graph(tuple(nodes)), options=options).ops
        if hasattr(op, "state_bits")
    ]
    assert states == [20]
