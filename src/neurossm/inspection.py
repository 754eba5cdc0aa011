"""What a file of this package holds, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neurossm.errors import FormatError, InputError
from neurossm.graph import graph as graph_room
from neurossm.program import program as program_room
from neurossm.storage import schema_of


def inspect_file(path: Path) -> dict[str, Any]:
    """Describe a checkpoint, graph or program: kind, properties, and a table of its parts.

    Raises
    ------
    InputError, FormatError
        No such file, or none of these kinds.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    schema = schema_of(path)
    if schema == program_room.SCHEMA:
        return _program(program_room.Program.load(path))
    if schema == graph_room.SCHEMA:
        return _graph(graph_room.Graph.load(path))
    if schema is not None or path.suffix in (".h5", ".hdf5"):
        raise FormatError(
            f"{path}: neither a {graph_room.SCHEMA} nor a {program_room.SCHEMA} file"
            + (f" but {schema!r}" if schema else " (foreign, damaged or truncated)")
        )
    return _checkpoint(path)


def _program(program: program_room.Program) -> dict[str, Any]:
    return {
        "kind": f"{program_room.SCHEMA} version {program_room.VERSION}",
        "properties": {
            "target": program.target,
            "max_steps": program.max_steps,
            "approximations": {item.name: item.max_error for item in program.approximations},
            "provenance": program.provenance,
        },
        "title": "Operations, and the states of SSMs",
        "columns": [
            *("operation", "type", "reads", "channels", "bits", "exponent"),
            *("bound", "headroom bits", "proved"),
        ],
        "rows": _tensors(program),
    }


def _tensors(program: program_room.Program) -> list[tuple[object, ...]]:
    """Return a row for each certificate."""
    from neurossm.program.certificate import certificates

    ops = {op.name: op for op in program.ops}
    rows: list[tuple[object, ...]] = []
    for found in certificates(program):
        op = ops.get(found.name)
        low, high = found.exponent
        rows.append(
            (
                found.name,
                "state" if op is None else type(op).__name__,
                "" if op is None else " ".join(op.inputs),
                ops[found.name.removesuffix(":state")].out.channels,
                found.bits,
                str(low) if low == high else f"{low} to {high}",
                found.bound,
                round(found.headroom_bits, 2),
                found.proved,
            )
        )
    return rows


def _graph(graph: graph_room.Graph) -> dict[str, Any]:
    channels = graph.channels()
    return {
        "kind": f"{graph_room.SCHEMA} version {graph_room.VERSION}",
        "properties": {"provenance": graph.provenance},
        "title": "Nodes",
        "columns": ["node", "type", "reads", "channels"],
        "rows": [
            (node.name, type(node).__name__, " ".join(node.inputs), channels[node.name])
            for node in graph.nodes
        ],
    }


def _checkpoint(path: Path) -> dict[str, Any]:
    from neurossm.models.checkpoint import FORMAT, VERSION, load

    checkpoint = load(path)
    state = checkpoint.model.state_dict()
    return {
        "kind": f"{FORMAT} version {VERSION}",
        "properties": {
            "sha256": checkpoint.sha256,
            "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
            "config": checkpoint.config.to_dict(),
            "training": {**checkpoint.training},
        },
        "title": "Tensors",
        "columns": ["tensor", "shape", "dtype"],
        "rows": [
            (name, "x".join(map(str, tensor.shape)) or "scalar", str(tensor.dtype))
            for name, tensor in state.items()
        ],
    }
