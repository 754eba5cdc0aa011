"""`neurossm export`: write the float graph of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from neurossm.cli.options import file_argument, output_option
from neurossm.cli.output import json_option, open_output


@click.command("export")
@file_argument("model")
@output_option("-o", "--output", "graph_path", required=True, help="Float graph to write (HDF5).")
@json_option
def command(model: Path, graph_path: Path, json_path: str | None) -> None:
    """Write the float graph of MODEL, a checkpoint: the same function, in double precision."""
    with open_output(json_path) as output:
        from neurossm.graph import TYPE_NAMES
        from neurossm.models.export import export

        graph = export(model)
        graph.save(graph_path)
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
        output.line(f"Float graph of {model}: {graph_path}")
        output.table(
            "Nodes",
            ["node", "type", "reads", "channels"],
            [
                (n["name"], n["type"], " ".join(node.inputs), n["channels"])
                for n, node in zip(nodes, graph.nodes, strict=True)
            ],
        )
        output.json({"nodes": nodes, "provenance": graph.provenance})
