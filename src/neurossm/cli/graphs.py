"""A float graph as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurossm.cli.output import Output

if TYPE_CHECKING:
    from neurossm.graph import Graph


def show_nodes(output: Output, graph: Graph) -> dict[str, Any]:
    """Print the nodes of a graph; return them and its provenance for JSON."""
    from neurossm.graph import TYPE_NAMES

    channels = graph.channels()
    nodes = [
        {
            "name": node.name,
            "type": TYPE_NAMES[type(node)],
            "inputs": list(node.inputs),
            "channels": channels[node.name],
        }
        for node in graph.nodes
    ]
    output.table(
        "Nodes",
        ["node", "type", "reads", "channels"],
        [
            (n["name"], n["type"], " ".join(node.inputs), n["channels"])
            for n, node in zip(nodes, graph.nodes, strict=True)
        ],
    )
    return {"nodes": nodes, "provenance": graph.provenance}
