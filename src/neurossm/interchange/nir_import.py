"""From a file of NIR to the float graph that computes the same in discrete time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from neurossm.errors import FormatError, InputError, UnsupportedError
from neurossm.files import as_path, sha256_of
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.graph.node import Node
from neurossm.importers.inputs import parse_input
from neurossm.interchange import extensions
from neurossm.interchange.nir_file import IDENTITY, NIRFile, read_nir
from neurossm.interchange.nir_nodes import REFUSED, TRANSLATIONS, Clock, Integration


def import_nir(
    path: str | os.PathLike[str],
    *,
    dt: float | None = None,
    input: str | None = None,  # noqa: A002 - as everywhere else
    integration: Integration = "euler",
) -> Graph:
    """Read a network of NIR as a float graph, in steps of `dt`.

    What flows along several edges into a node is added up. The network's output becomes logits as
    the mean over time of what its Output receives, since NIR does not say how it is read: rates of
    spikes, or mean potentials. `neurossm.interchange.nir_nodes` has every equation.

    Parameters
    ----------
    path
        A file that `nir.write` or `export_nir` wrote.
    dt
        Length of a step, in the unit of the file's time constants (seconds, by NIR's convention).
        Needed where the file has nodes with time constants.
    input
        What the data are: "counts:1" for spikes, "counts:HIGH", "uint8" or "float:LOW:HIGH".
        Needed unless `export_nir` wrote the file.
    integration
        "euler", as most simulators that read NIR do, or "exact".

    Raises
    ------
    InputError
        `dt` or `input` is missing or makes no sense.
    UnsupportedError
        A node or an edge that cannot be run, with its name and the reason: recurrent edges,
        convolutions, delays, several inputs or outputs.
    FormatError
        No file of NIR's, or a damaged one.
    MissingDependencyError
        NIR is not installed.
    """
    source = as_path(path, "NIR file")
    if integration not in ("euler", "exact"):
        raise InputError(f"integration {integration!r}: expected euler or exact")
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt {dt:g}: must be a positive length of a step")
    file = read_nir(source)
    translation = _NIRTranslation(file, dt, integration)
    nodes = translation.nodes(input)
    provenance = {
        "source": source.name,
        "sha256": sha256_of(source),
        "nir": {"dt": dt, "integration": integration},
    }
    return Graph(tuple(nodes), provenance)


class _NIRTranslation:
    def __init__(self, file: NIRFile, dt: float | None, integration: Integration) -> None:
        self.file = file
        self.dt = dt
        self.integration = integration
        self.reads: dict[str, list[str]] = {name: [] for name in file.nodes}
        for source, target in file.edges:
            self.reads[target].append(source)
        self.tensors: dict[str, str] = {}  # what each node sends, by its name
        self.made: list[Node] = []

    def nodes(self, given: str | None) -> list[Node]:
        """Return the nodes of the float graph in order."""
        start, end = self._only("Input"), self._only("Output")
        self.made.append(_input(start, self.file.nodes[start], given))
        self.tensors[start] = start
        for name in self._order():
            if name == end:
                break
            if name != start:
                self._translate(name)
        return self._with_logits(end)

    def _only(self, kind: str) -> str:
        found = [name for name, node in self.file.nodes.items() if type(node).__name__ == kind]
        if len(found) != 1:
            names = ", ".join(found) or "none"
            raise UnsupportedError(f"{kind} nodes: {names}; networks with one can be run")
        return found[0]

    def _order(self) -> Iterable[str]:
        """Yield names, each after those it reads; refuse loops by an edge of theirs."""
        done: dict[str, bool] = {}
        order: list[str] = []

        def visit(name: str, behind: str) -> None:
            if done.get(name):
                return
            if name in done:
                raise UnsupportedError(
                    f"{name}: recurrent edge {name} -> {behind}: what it sends comes back to it; "
                    "the float graph runs forwards only"
                )
            done[name] = False
            for source in self.reads[name]:
                visit(source, name)
            done[name] = True
            order.append(name)

        for name in sorted(self.file.nodes, key=lambda one: extensions.order(self.file.nodes[one])):
            visit(name, "")
        return order

    def _translate(self, name: str) -> None:
        node = self.file.nodes[name]
        sources = [self.tensors[source] for source in self.reads[name]]
        if not sources:
            raise UnsupportedError(f"{name}: reads nothing; it has no incoming edge")
        own = extensions.restored(name, node, sources)
        if own is not None:
            self.made.append(own)
            self.tensors[name] = own.name
            return
        kind = node["type"] if isinstance(node, dict) else type(node).__name__
        if kind != IDENTITY and kind not in TRANSLATIONS:
            reason = REFUSED.get(kind, "no such node can be run")
            raise UnsupportedError(f"{name} ({kind}): {reason}")
        reads = self._sum(name, sources)
        new: list[Node] = []
        if kind != IDENTITY:
            new = TRANSLATIONS[kind](name, reads, node, self._clock(name, kind))
        self.made += new
        self.tensors[name] = new[-1].name if new else reads

    def _clock(self, name: str, kind: str) -> Clock:
        if self.dt is None and kind in ("LIF", "IF", "LI", "CubaLIF", "CubaLI"):
            raise InputError(f"{name} ({kind}): give dt, the length of a step, as --dt 1e-3")
        return Clock(self.dt or 1.0, self.integration)

    def _sum(self, name: str, sources: list[str]) -> str:
        """Return the tensor that is the sum of several, of which each pair is a node."""
        total = sources[0]
        for number, source in enumerate(sources[1:]):
            last = number == len(sources) - 2
            added = f"{name}.sum" if last else f"{name}.sum{number + 1}"
            self.made.append(n.AddNode(added, (total, source), layer=name))
            total = added
        return total

    def _with_logits(self, end: str) -> list[Node]:
        sources = [self.tensors[source] for source in self.reads[end]]
        if not sources:
            raise UnsupportedError(f"{end}: reads nothing; it has no incoming edge")
        restored = extensions.restored_readout(self.file.nodes[end], sources[0], self.made)
        if restored is not None:
            return restored
        last = self._sum(end, sources)
        sizes: dict[str, int] = {}
        for node in self.made:
            sizes[node.name] = node.channels(*(sizes[name] for name in node.inputs))
        mean = f"{end}.mean"
        identity = np.eye(sizes[last])
        return [
            *self.made,
            n.MeanNode(mean, (last,), layer=end),
            n.LinearNode(end, (mean,), identity, np.zeros(len(identity)), layer=end),
        ]


def _input(name: str, node: Any, given: str | None) -> n.InputNode:
    size = int(np.prod(np.asarray(node.input_type["input"], dtype=np.int64)))
    if given is None:
        own = extensions.restored_input(name, node)
        if own is not None:
            return own
        raise InputError(
            f"{name}: NIR does not say what the {size} inputs are: give input (--input), as "
            "counts:1 for spikes, uint8, or float:LOW:HIGH"
        )
    spec = parse_input(given, size)
    if spec.kind == "tokens":
        raise InputError(f"{name}: tokens are no input of NIR's nodes; give numbers")
    if spec.size != size:
        raise FormatError(f"{name}: {size} inputs, not {spec.size}")
    scale = 1 / 255 if spec.kind == "uint8" else 1.0
    return n.InputNode(name, (), spec.kind, size, spec.low, spec.high, scale)
