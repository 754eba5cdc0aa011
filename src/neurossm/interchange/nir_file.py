"""Files of NIR, the Neuromorphic Intermediate Representation, with our nodes among its own.

NIR's own reader refuses nodes that it does not know, so files are read node by node.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from neurossm.errors import FormatError, MissingDependencyError
from neurossm.files import require_regular

EXTENSION = "neurossm."
"""What the types of our own nodes begin with."""
IDENTITY = EXTENSION + "Identity"
"""What a subgraph's Input and Output become."""


def require_nir() -> Any:
    """Return NIR's package; MissingDependencyError says how to get it."""
    if importlib.util.find_spec("nir") is None:
        raise MissingDependencyError("NIR is not installed: pip install 'neurossm[nir]'")
    return importlib.import_module("nir")


@dataclass(frozen=True, eq=False)
class NIRFile:
    """A network: nodes by name, subgraphs dissolved, and edges.

    A node is one of NIR's, or the dictionary of one of ours, whose "type" begins with `EXTENSION`.
    """

    nodes: Mapping[str, Any]
    edges: tuple[tuple[str, str], ...]


def read_nir(path: Path) -> NIRFile:
    """Read a file.

    Raises
    ------
    FormatError
        It is none of NIR's, or a node makes no sense.
    MissingDependencyError
        NIR is not installed.
    """
    nir = require_nir()
    require_regular(path)
    try:
        with h5py.File(path, "r") as file:
            if "version" not in file or "node" not in file:
                raise FormatError(f"{path}: no NIR file: it has no version and no node")
            tree = nir.serialization.hdf2dict(file["node"])
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"{path}: no NIR file, or damaged ({' '.join(str(error).split())})"
        ) from None
    if tree.get("type") != "NIRGraph":
        raise FormatError(f"{path}: holds a {tree.get('type')}, not a graph")
    nodes, edges = _dissolved(tree, "")
    return NIRFile(nodes, tuple(edges))


def _dissolved(
    tree: Mapping[str, Any], prefix: str
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the nodes and edges of a graph, those of its subgraphs among them."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    ends: dict[str, tuple[str, str]] = {}  # of a subgraph: where it begins and ends
    for name, entry in tree.get("nodes", {}).items():
        full = prefix + name
        kind = entry.get("type", "") if isinstance(entry, dict) else ""
        if kind == "NIRGraph" and "neurossm" not in entry.get("metadata", {}):
            inner, wires = _dissolved(entry, f"{full}.")
            first, last = _ends(full, entry)
            ends[full] = first, last
            nodes |= inner
            edges += wires
        elif kind == "NIRGraph":
            said = entry["metadata"]
            nodes[full] = {**said, "type": EXTENSION + said["neurossm"], "body": entry["nodes"]}
        elif kind.startswith(EXTENSION):
            nodes[full] = entry
        else:
            nodes[full] = _node(full, kind, entry)
    for source, target in tree.get("edges", ()):
        pair = [prefix + (s.decode() if isinstance(s, bytes) else str(s)) for s in (source, target)]
        for name in pair:
            if name not in nodes and name not in ends:
                raise FormatError(f"edge {pair[0]} -> {pair[1]}: there is no node {name!r}")
        before, after = ends.get(pair[0], (pair[0], pair[0]))[1], ends.get(pair[1], (pair[1],))[0]
        edges.append((before, after))
    if prefix:  # a subgraph's own inputs and outputs only pass on
        nodes = {name: _passing(node) for name, node in nodes.items()}
    return nodes, edges


def _ends(name: str, tree: Mapping[str, Any]) -> tuple[str, str]:
    """Return where a subgraph begins and ends."""
    found = []
    for kind in ("Input", "Output"):
        own = [key for key, node in tree["nodes"].items() if node.get("type") == kind]
        if len(own) != 1:
            raise FormatError(f"{name}: a subgraph of {len(own)} {kind} nodes; one is needed")
        found.append(f"{name}.{own[0]}")
    return found[0], found[1]


def _passing(node: Any) -> Any:
    """Return what stands for an Input or Output inside of a subgraph once that is dissolved."""
    return {"type": IDENTITY} if type(node).__name__ in ("Input", "Output") else node


def _node(name: str, kind: str, entry: Mapping[str, Any]) -> Any:
    nir = require_nir()
    try:
        return nir.dict2NIRNode(dict(entry))
    except AssertionError as error:
        reason = str(error) or f"NIR knows no node of type {kind!r}"
    except Exception as error:  # NIR raises whatever its constructors meet
        reason = f"{type(error).__name__}: {error}"
    raise FormatError(f"{name} ({kind or 'of no type'}): {' '.join(reason.split())}")
