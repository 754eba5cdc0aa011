"""`neurossm export`: write the float graph of a model, here or as a file of another project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.graphs import show_nodes
from neurossm.cli.options import file_argument, file_option, output_option
from neurossm.cli.output import Output, json_option, open_output

if TYPE_CHECKING:
    from neurossm.graph import Graph


@click.command("export")
@file_argument("model")
@output_option("-o", "--output", "graph_path", required=True, help="File to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["h5", "nir", "netx"]),
    default="h5",
    show_default=True,
    help="h5: our float graph (HDF5). nir: NIR, which other simulators read. netx: a program as a "
    "layer of Lava's netx files.",
)
@click.option(
    "--ssm",
    type=click.Choice(["nodes", "extension"]),
    help="With --format nir: state-space models as NIR's nodes, or each as one of our own "
    "(DiagonalSSM). [default: nodes]",
)
@file_option(
    "--behind", metavar="NET", help="With --format netx: a netx file whose layers come first."
)
@click.option(
    "--tensor", metavar="NAME", help="With --format netx: what to send. [default: the logits]"
)
@json_option
def command(
    model: Path,
    graph_path: Path,
    format_: str,
    ssm: str | None,
    behind: Path | None,
    tensor: str | None,
    json_path: str | None,
) -> None:
    """Write the float graph of MODEL: the same function, in double precision.

    MODEL is a checkpoint, a float graph, or a program, whose graph is approximated as its integers
    are. In netx's format it is the program itself.
    """
    if ssm is not None and format_ != "nir":
        raise click.UsageError("--ssm goes with --format nir.")
    if (behind is not None or tensor is not None) and format_ != "netx":
        raise click.UsageError("--behind and --tensor go with --format netx.")
    with open_output(json_path) as output:
        if format_ == "netx":
            _export_netx(output, model, graph_path, behind, tensor)
            return
        graph = _graph_of(model)
        ours: list[str] = []
        if format_ == "nir":
            from neurossm.interchange import export_nir

            ours = export_nir(graph, graph_path, decompose=ssm != "extension")
        else:
            graph.save(graph_path)
        output.line(f"Float graph of {model}: {graph_path}")
        shown = show_nodes(output, graph)
        if ours:
            output.line(f"Nodes of our own, which NIR's reader refuses: {', '.join(ours)}")
        output.json({**shown, "extensions": ours} if format_ == "nir" else shown)


def _export_netx(
    output: Output, model: Path, path: Path, behind: Path | None, tensor: str | None
) -> None:
    from neurossm.interchange import export_netx
    from neurossm.program import Program
    from neurossm.storage.netx import read_layers

    export_netx(Program.load(model), path, output=tensor, behind=behind)
    layers = [(one.number, one.type, one.neuron, list(one.shape)) for one in read_layers(path)]
    output.line(f"Network of netx's layers, and {model} as one of ours: {path}")
    output.table("Layers", ["layer", "type", "neuron", "shape"], layers)
    output.json({"layers": [{"number": n, "type": t} for n, t, *_ in layers]})


def _graph_of(model: Path) -> Graph:
    from neurossm.graph import graph as graph_room
    from neurossm.models.export import export
    from neurossm.program import program as program_room
    from neurossm.storage import schema_of

    schema = schema_of(model)
    if schema == graph_room.SCHEMA:
        return graph_room.Graph.load(model)
    if schema == program_room.SCHEMA:
        return program_room.Program.load(model).graph
    return export(model)
