"""Folding changes no function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.compile.fold import fold
from neurossm.graph.evaluate import evaluate


@pytest.mark.parametrize("pool", ["mean", "last", "max"])
@pytest.mark.parametrize("awkward", [(), ("negative_gains",), ("dominant_d", "thresholds")])
@pytest.mark.parametrize("kind", ["uint8", "tokens", "float"])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_the_function_stays(networks, norm, kind, awkward, pool):
    graph = networks.random_graph(2, norm=norm, kind=kind, inputs=3, awkward=awkward, pool=pool)
    x = networks.random_data(graph.input, 0)
    spikes = ["blocks.0.spike", "blocks.1.spike", "blocks.1.add"]
    before, folded = evaluate(graph, x, spikes), fold(graph)
    after = evaluate(folded, x, spikes)
    for name, value in before.items():
        scale = max(1.0, np.abs(value).max())
        np.testing.assert_allclose(after[name], value, atol=1e-9 * scale, err_msg=name)
    assert not any(isinstance(node, g.BatchNormNode) for node in folded.nodes)
    assert all((node.B_bar == 1).all() for node in folded.nodes if isinstance(node, g.SSMNode))
    assert folded.provenance == graph.provenance


def test_every_tensor_stays_where_it_still_exists(networks):
    graph = networks.random_graph(2, norm="pre", mixer="gsu", layer_norm=True)
    x = networks.random_data(graph.input, 0)
    folded = fold(graph)
    names = [node.name for node in folded.nodes if node.name != "input"]
    before, after = evaluate(graph, x, names), evaluate(folded, x, names)
    for name in names:
        np.testing.assert_allclose(after[name], before[name], atol=1e-9, err_msg=name)


def test_the_final_norm_moves_into_the_decoder(networks):
    pre = fold(networks.random_graph(2, norm="pre"))
    assert "norm" not in pre.channels()
    assert pre["mean"].inputs == ("blocks.1.add",)
    post = fold(networks.random_graph(2, norm="post"))
    assert "blocks.1.norm" not in post.channels()
    assert post["mean"].inputs == ("blocks.1.add",)
    assert isinstance(post["blocks.0.norm"], g.AffineNode)  # the next block reads it


def test_a_norm_that_would_turn_the_largest_into_the_smallest_stays(networks):
    for awkward, kept in ((), False), (("negative_gains",), True):
        graph = fold(networks.random_graph(2, norm="pre", pool="max", awkward=awkward))
        assert ("norm" in graph.channels()) == kept


def test_a_norm_that_others_read_stays(networks):
    graph = networks.random_graph(2, norm="post", blocks=1)
    nodes = [*graph.nodes[:-2], g.SigmoidNode("other", ("blocks.0.norm",)), *graph.nodes[-2:]]
    folded = fold(g.Graph(tuple(nodes)))
    assert folded["mean"].inputs == ("blocks.0.norm",)


def test_byte_inputs_lose_their_scale(networks):
    graph = networks.random_graph(2, norm="pre")
    folded = fold(graph)
    assert folded.input.scale == 1.0
    np.testing.assert_allclose(folded["encoder"].weight, graph["encoder"].weight / 255)
    assert np.array_equal(folded["encoder"].bias, graph["encoder"].bias)


def test_a_scaled_float_input_keeps_its_range(networks):
    graph = networks.random_graph(2, kind="float")
    graph = graph.with_nodes([replace(graph.input, scale=-0.5), *graph.nodes[1:]])
    folded = fold(graph)
    assert (folded.input.low, folded.input.high, folded.input.scale) == (-1.5, 2.25, 1.0)
    x = networks.random_data(graph.input, 0)
    np.testing.assert_allclose(
        evaluate(folded, x)["decoder"], evaluate(graph, x)["decoder"], atol=1e-9
    )


def test_a_scale_that_others_than_weights_read_stays_with_the_input():
    source = g.InputNode("input", (), "uint8", 1, 0.0, 1.0, 1 / 255)
    graph = g.Graph((source, g.SpikeNode("s", ("input",), [0.5]), g.MeanNode("mean", ("s",))))
    assert fold(graph).same_as(graph)


def test_graphs_without_decoder_or_mean_pass():
    source = g.InputNode("input", (), "float", 1, -1.0, 1.0, 1.0)
    norm = g.AffineNode("norm", ("input",), [2.0], [1.0])
    for rest in ((), (g.MeanNode("mean", ("norm",)),)):
        graph = g.Graph((source, norm, *rest))
        assert fold(graph).same_as(graph)
