"""What a file of this package holds, as a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurossm.errors import FormatError
from neurossm.files import as_path, require_regular
from neurossm.graph import TYPE_NAMES
from neurossm.graph import graph as graph_room
from neurossm.origin import imported_line, imported_line_of
from neurossm.program import program as program_room
from neurossm.storage import netx, schema_of


@dataclass(frozen=True)
class Inspection:
    """What a file holds.

    Parameters
    ----------
    kind
        Schema and version.
    properties
        Plain values, by name.
    title, columns, rows
        A table of its parts.
    """

    kind: str
    properties: Mapping[str, Any]
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the results under the keys that `neurossm inspect --json` writes."""
        return {
            "kind": self.kind,
            "properties": dict(self.properties),
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
        }


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Describe a file: a checkpoint, a float graph, a program, or a network of netx's.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError, FormatError
        No such file, or none of these kinds.
    """
    path = as_path(path, "file")
    require_regular(path)
    schema = schema_of(path)
    if schema == program_room.SCHEMA:
        return _program(program_room.Program.load(path))
    if schema == graph_room.SCHEMA:
        return _graph(graph_room.Graph.load(path))
    if schema is None and netx.is_netx(path):
        return _netx(path)
    if schema is not None or path.suffix in (".h5", ".hdf5"):
        raise FormatError(
            f"{path}: neither a {graph_room.SCHEMA} nor a {program_room.SCHEMA} file"
            + (f" but {schema!r}" if schema else " (foreign, damaged or truncated)")
        )
    return _checkpoint(path)


def _netx(path: Path) -> Inspection:
    layers = netx.read_layers(path)
    return Inspection(
        kind="netx network",
        properties={
            "layers": len(layers),
            "not run by netx": [one.number for one in layers if one.type not in netx.KNOWN],
        },
        title="Layers",
        columns=("layer", "type", "neuron", "shape", "datasets"),
        rows=tuple(
            (
                one.number,
                one.type + (" (a program of ours)" if one.type == netx.OURS else ""),
                one.neuron,
                "x".join(map(str, one.shape)),
                ", ".join(
                    f"{name} {'x'.join(map(str, s))}".strip() for name, s in one.fields.items()
                ),
            )
            for one in layers
        ),
    )


def _imported(line: str | None) -> dict[str, str]:
    return {} if line is None else {"origin": line}


def _program(program: program_room.Program) -> Inspection:
    return Inspection(
        kind=f"{program_room.SCHEMA} version {program_room.VERSION}",
        properties={
            "target": program.target,
            "sha256": program.sha256,
            **_imported(imported_line_of(program.provenance)),
            "max_steps": program.max_steps,
            "approximations": {item.name: item.max_error for item in program.approximations},
            "provenance": program.provenance,
        },
        title="Operations, and the states of SSMs",
        columns=(
            *("operation", "type", "reads", "channels", "bits", "exponent"),
            *("bound", "headroom bits", "proved"),
        ),
        rows=tuple(_tensors(program)),
    )


def _tensors(program: program_room.Program) -> list[tuple[object, ...]]:
    """Return a row for each certificate."""
    from neurossm.program.certificate import certificates

    ops = {op.name: op for op in program.ops}
    owners = {**ops, **{op.state_tally: op for op in program.ops if op.states}}
    rows: list[tuple[object, ...]] = []
    for found in certificates(program):
        op = ops.get(found.name)
        low, high = found.exponent
        rows.append(
            (
                found.name,
                "state" if op is None else type(op).__name__,
                "" if op is None else " ".join(op.inputs),
                owners[found.name].out.channels,
                found.bits,
                str(low) if low == high else f"{low} to {high}",
                found.bound,
                round(found.headroom_bits, 2),
                found.proved,
            )
        )
    return rows


def _graph(graph: graph_room.Graph) -> Inspection:
    channels = graph.channels()
    return Inspection(
        kind=f"{graph_room.SCHEMA} version {graph_room.VERSION}",
        properties={
            **_imported(imported_line(graph.provenance.get("training"))),
            "provenance": graph.provenance,
        },
        title="Nodes",
        columns=("node", "type", "reads", "channels"),
        rows=tuple(
            (node.name, TYPE_NAMES[type(node)], " ".join(node.inputs), channels[node.name])
            for node in graph.nodes
        ),
    )


def _checkpoint(path: Path) -> Inspection:
    from neurossm.models.checkpoint import FORMAT, VERSION, load

    checkpoint = load(path)
    state = checkpoint.model.state_dict()
    return Inspection(
        kind=f"{FORMAT} version {VERSION}",
        properties={
            **_imported(imported_line(checkpoint.training)),
            "sha256": checkpoint.sha256,
            "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
            "config": checkpoint.config.to_dict(),
            "training": {**checkpoint.training},
        },
        title="Tensors",
        columns=("tensor", "shape", "dtype"),
        rows=tuple(
            (name, "x".join(map(str, tensor.shape)) or "scalar", str(tensor.dtype))
            for name, tensor in state.items()
        ),
    )
