"""The float graph: nodes in order of evaluation, and where they came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py

from neurossm.arrays import same
from neurossm.errors import InputError
from neurossm.files import as_path
from neurossm.graph.nodes import NODE_TYPES, EmbeddingNode, InputNode, Node
from neurossm.storage import (
    read_file,
    read_json_object,
    read_named,
    subgroup,
    write_file,
    write_json,
    write_named,
)

SCHEMA = "neurossm-graph"
VERSION = 2


@dataclass(frozen=True, eq=False)
class Graph:
    """A network as a sequence of nodes; a node reads only nodes before it.

    Parameters
    ----------
    nodes
        The first is the only `Input`; the last is the output.
    provenance
        Plain JSON values: source, sha256, configuration, versions.

    Raises
    ------
    InputError
        Two nodes share a name, a node reads an unknown one, channels do not fit, or a node needs
        time steps after the mean over time.
    """

    nodes: tuple[Node, ...]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names, order and channels."""
        if not self.nodes or not isinstance(self.nodes[0], InputNode):
            raise InputError("graph: the first node must be the Input")
        if any(isinstance(node, InputNode) for node in self.nodes[1:]):
            raise InputError("graph: more than one Input")
        known: dict[str, Node] = {}
        for node in self.nodes:
            if node.name in known:
                raise InputError(f"graph: two nodes are called {node.name!r}")
            unknown = [name for name in node.inputs if name not in known]
            if unknown:
                raise InputError(
                    f"{node.name}: reads {unknown[0]!r}, which does not come before it"
                )
            if isinstance(node, EmbeddingNode):
                _check_vocabulary(node, known[node.inputs[0]])
            known[node.name] = node
        self.channels()
        self._with_time()

    def _with_time(self) -> dict[str, bool]:
        """Return which tensors have time steps; refuse a node that lacks those it needs."""
        has_time: dict[str, bool] = {}
        for node in self.nodes:
            inputs = [has_time[name] for name in node.inputs]
            if node.time != "any" and not inputs[0]:
                raise InputError(f"{node.name}: reads {node.inputs[0]!r}, which has no time steps")
            if len(set(inputs)) > 1:
                raise InputError(
                    f"{node.name}: reads {' and '.join(node.inputs)}, of which only one has time "
                    "steps"
                )
            has_time[node.name] = node.time != "ended" and (not inputs or inputs[0])
        return has_time

    @property
    def streams(self) -> bool:
        """Whether the output has time steps."""
        return self._with_time()[self.output.name]

    @property
    def input(self) -> InputNode:
        """The input node."""
        node = self.nodes[0]
        assert isinstance(node, InputNode)
        return node

    @property
    def output(self) -> Node:
        """The last node."""
        return self.nodes[-1]

    def __getitem__(self, name: str) -> Node:
        """Return the node of this name; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def channels(self) -> dict[str, int]:
        """Return the number of channels of every tensor."""
        sizes: dict[str, int] = {}
        for node in self.nodes:
            sizes[node.name] = node.channels(*(sizes[name] for name in node.inputs))
        return sizes

    def readers(self, name: str) -> tuple[Node, ...]:
        """Return the nodes that read a tensor."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        """Return a graph of other nodes and the same provenance."""
        return replace(self, nodes=tuple(nodes))

    def same_as(self, other: Graph) -> bool:
        """Tell whether both graphs hold the same nodes, bit for bit, and the same provenance."""
        return same(self.nodes, other.nodes) and self.provenance == other.provenance

    def save(self, path: str | Path) -> None:
        """Write the graph to an HDF5 file of schema `neurossm-graph`."""
        write_file(as_path(path, "graph"), SCHEMA, VERSION, lambda file: write_graph(file, self))

    @staticmethod
    def load(path: str | Path) -> Graph:
        """Read a graph written by `save`; FormatError or InputError say what is wrong."""
        return read_file(as_path(path, "graph"), SCHEMA, VERSION, read_graph, "neurossm export")


def _check_vocabulary(node: EmbeddingNode, source: Node) -> None:
    if not isinstance(source, InputNode) or source.kind != "tokens":
        raise InputError(f"{node.name}: an Embedding reads an input of kind 'tokens' only")
    if source.size > len(node.weight):
        raise InputError(
            f"{node.name}: {len(node.weight)} rows for a vocabulary of {source.size} tokens"
        )


def write_graph(group: h5py.Group, graph: Graph) -> None:
    """Write provenance and one group per node, in order."""
    write_json(group, "provenance", graph.provenance)
    write_named(group.create_group("nodes", track_order=True), graph.nodes, NODE_TYPES)


def read_graph(group: h5py.Group) -> Graph:
    """Read what `write_graph` wrote.

    Raises
    ------
    FormatError, InputError
        A part is missing, unknown, or makes no sense.
    """
    nodes = read_named(subgroup(group, "nodes"), NODE_TYPES, "node")
    return Graph(tuple(nodes), read_json_object(group, "provenance"))
