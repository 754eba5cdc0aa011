"""A layer is what a node says it belongs to, whatever it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest

from neurossm.compile import compile_model
from neurossm.cost import profile
from neurossm.graph import Graph, Node
from neurossm.parity import verify

Rename = Callable[[str], str]


def renamed(graph: Graph, name: Rename, layer: Rename) -> Graph:
    """Give every node other names, and its layer another one."""

    def change(node: Node) -> Node:
        inputs = tuple(name(source) for source in node.inputs)
        return replace(node, name=name(node.name), inputs=inputs, layer=layer(node.layer))

    return graph.with_nodes(map(change, graph.nodes))


def flat(name: str) -> str:
    """Hide every structure from whoever parses names."""
    return name.replace(".", "_")


def keep(name: str) -> str:
    return name


def layers(name: str) -> str:
    return name.replace("blocks.", "layers.")


@pytest.mark.parametrize(
    ("name", "layer", "blocks"),
    [
        (keep, keep, ["blocks.0", "blocks.1", "blocks.2"]),
        (layers, layers, ["layers.0", "layers.1", "layers.2"]),
        (flat, layers, ["layers.0", "layers.1", "layers.2"]),
        (keep, flat, ["blocks_0", "blocks_1", "blocks_2"]),
    ],
)
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_counts_and_parity_are_by_the_layer_a_node_says(
    networks: ModuleType, name: Rename, layer: Rename, blocks: list[str], mixer: str
) -> None:
    graph = networks.random_graph(3, channels=4, modes=2, blocks=3, mixer=mixer)
    data = networks.random_data(graph.input, 1, batch=2, steps=6)
    plain = profile(compile_model(graph, calibration=data), data)
    program = compile_model(renamed(graph, name, layer), calibration=data)
    found = profile(program, data)
    assert [key for key in found.layers if key in blocks] == blocks
    assert list(found.layers.values()) == list(plain.layers.values())
    for block in blocks:
        assert found.layers[block].state_updates == 2 * 6 * 4 * 2  # samples, steps, channels, modes
    assert [row.name for row in verify(program, data).layers] == blocks
