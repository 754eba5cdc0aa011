"""From the float graph to a file of NIR."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from neurossm.errors import UnsupportedError
from neurossm.files import as_path, atomic_path
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.graph.node import Node
from neurossm.interchange.extensions import extension, numbers, words
from neurossm.interchange.nir_file import require_nir


def export_nir(graph: Graph, path: str | os.PathLike[str], *, decompose: bool = True) -> list[str]:
    """Write a float graph as a file of NIR, whose step is `dt = 1`.

    Linear maps, thresholds, integrators with reset, and sums are nodes of NIR's. A state-space
    model becomes a subgraph of NIR's nodes, a linear recurrence through two delays of one step;
    or, with `decompose=False`, a node of ours, `DiagonalSSM`. Everything else is a node of ours.
    What stands behind the mean over time must be affine; the Output is what it makes of every
    step, whose mean over time is the graph's output.

    Parameters
    ----------
    graph
        A float graph; that of `Program.graph` is approximated as the integers are.
    path
        File to write.
    decompose
        Whether state-space models are written as NIR's nodes.

    Returns
    -------
    list
        Names of the nodes of ours. Without any, NIR's own reader opens the file.

    Raises
    ------
    UnsupportedError
        Something behind the mean over time is not affine, or the input is of tokens.
    MissingDependencyError
        NIR is not installed.
    """
    nir = require_nir()
    target = as_path(path, "NIR file")
    export = _Export(nir, graph, decompose)
    written = export.network()
    with atomic_path(target) as temporary:
        nir.write(str(temporary), written)
    return export.ours


class _Export:
    def __init__(self, nir: Any, graph: Graph, decompose: bool) -> None:
        self.nir = nir
        self.graph = graph
        self.decompose = decompose
        self.sizes = graph.channels()
        self.ours: list[str] = []

    def network(self) -> Any:
        """Return NIR's graph."""
        nodes: dict[str, Any] = {}
        edges: list[tuple[str, str]] = []
        mean: n.MeanNode | None = None
        behind: list[str] = []
        renamed: dict[str, str] = {}
        for order, node in enumerate(self.graph.nodes):
            if isinstance(node, n.MeanNode) and mean is None:
                mean, renamed[node.name] = node, node.inputs[0]
                continue
            if mean is not None and mean.name != node.name:
                self._check_behind(node)
                behind.append(node.name)
            nodes[node.name] = self._node(node, order)
            edges += [(renamed.get(one, one), node.name) for one in dict.fromkeys(node.inputs)]
        last = self.graph.output.name
        end = "output" if "output" not in nodes else f"{last}:output"
        metadata = (
            {"layer": mean.layer, "mean": mean.name, "behind": json.dumps(behind)} if mean else {}
        )
        shape = np.array([self.sizes[last]])
        nodes[end] = self.nir.Output(output_type={"output": shape}, metadata=metadata)
        edges.append((renamed.get(last, last), end))
        return self.nir.NIRGraph(nodes, edges, metadata={}, type_check=False)

    def _check_behind(self, node: Node) -> None:
        if not isinstance(node, n.LinearNode | n.AffineNode):
            raise UnsupportedError(
                f"{node.name}: {n.TYPE_NAMES[type(node)]} behind the mean over time, which NIR "
                "does not have; only affine functions can change places with it"
            )

    def _node(self, node: Node, order: int) -> Any:
        nir, said, size = self.nir, words(node, order), self.sizes[node.name]
        if isinstance(node, n.InputNode):
            return self._input(node, order)
        if isinstance(node, n.LinearNode):
            return nir.Affine(node.weight.copy(), node.bias.copy(), metadata=said)
        if isinstance(node, n.AffineNode):
            return nir.Affine(np.diag(node.scale), node.shift.copy(), metadata=said)
        if isinstance(node, n.SpikeNode):
            return nir.Threshold(node.threshold.copy(), metadata=said)
        if isinstance(node, n.AddNode):
            return nir.Scale(np.ones(size), metadata={**said, "inputs": json.dumps(node.inputs)})
        if isinstance(node, n.LIFNode):
            return self._lif(node, said)
        if isinstance(node, n.SSMNode) and self.decompose:
            return self._ssm(node, order)
        self.ours.append(node.name)
        return _Extension(extension(node, order))

    def _input(self, node: n.InputNode, order: int) -> Any:
        if node.kind == "tokens":
            raise UnsupportedError(f"{node.name}: tokens are no input of NIR's nodes")
        shape = np.array([node.size])
        return self.nir.Input(
            input_type={"input": shape}, metadata={**words(node, order), **numbers(node)}
        )

    def _lif(self, node: n.LIFNode, said: dict[str, Any]) -> Any:
        """Return a LIF, or an IF where nothing leaks: by Euler's method with a step of 1."""
        metadata = {**said, "decay": node.decay.copy()}
        leak, zero = 1 - node.decay, np.zeros(node.decay.size)
        threshold = node.threshold.copy()
        if not leak.any():
            return self.nir.IF(np.ones(leak.size), threshold, zero, metadata=metadata)
        if (leak == 0).any():
            self.ours.append(node.name)
            return _Extension(extension(node, int(said["order"])))
        return self.nir.LIF(1 / leak, 1 / leak, zero, threshold, zero, metadata=metadata)

    def _ssm(self, node: n.SSMNode, order: int) -> Any:
        """Return the subgraph of an SSM; see docs/nir.md."""
        nir = self.nir
        H, N = node.A_bar.shape
        a, readout = node.A_bar.ravel(), (2 * node.C * node.B_bar).ravel()
        spread = np.kron(np.eye(H), np.ones((N, 1)))  # (H N, H)
        ones = np.ones(H * N)
        parts = {
            "input": nir.Input(input_type={"input": np.array([H])}),
            "output": nir.Output(output_type={"output": np.array([H])}),
            "spread": nir.Linear(spread),
            **{name: nir.Scale(ones) for name in ("re", "im")},
            **{f"{name}_before": nir.Delay(ones) for name in ("re", "im")},
            "re_re": nir.Scale(a.real.copy()),
            "re_im": nir.Scale(a.imag.copy()),
            "im_re": nir.Scale(-a.imag),
            "im_im": nir.Scale(a.real.copy()),
            "c_re": nir.Linear(spread.T * readout.real),
            "c_im": nir.Linear(spread.T * -readout.imag),
            "direct": nir.Scale(node.D.copy()),
        }
        edges = [
            ("input", "spread"), ("spread", "re"), ("input", "direct"), ("direct", "output"),
            ("re", "re_before"), ("im", "im_before"),
            ("re_before", "re_re"), ("re_re", "re"), ("im_before", "im_re"), ("im_re", "re"),
            ("re_before", "re_im"), ("re_im", "im"), ("im_before", "im_im"), ("im_im", "im"),
            ("re", "c_re"), ("c_re", "output"), ("im", "c_im"), ("c_im", "output"),
        ]  # fmt: skip
        said = extension(node, order)
        said["neurossm"] = said.pop("type").split(".", 1)[1]
        return nir.NIRGraph(parts, edges, metadata=said, type_check=False)


class _Extension:
    """A node of ours, as NIR's writer wants it."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.entry = entry

    def to_dict(self) -> dict[str, Any]:
        """Return its fields and its type."""
        return self.entry
