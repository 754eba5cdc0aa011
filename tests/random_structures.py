"""Random float graphs that no trainer makes: any names, any tensor read anywhere, any weights.

Names hold dots, spaces and letters of any script, begin alike and end like parts that a compiler
adds. Tensors are read by several layers; skip links lead from anywhere to any later sum of equal
width; layers are identities or zero; norms follow norms.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurossm import graph as g

_STEMS = ("a", "a.a", "blocks.0", "blocks.0.ssm", "blocks.10", "层", "naïve", "Ω", "x y", "1", "-")
_ENDS = ("", ".sum", ".graded", ".state", ".state_re", ".drive", ".statistics", ".0", "_", " ")


def random_structure(seed: int) -> g.Graph:
    """Return a graph of 5 to 25 nodes."""
    rng = np.random.default_rng([5, seed])
    return _Structure(rng).graph()


class _Structure:
    """Adds nodes one after the other, each reading any before it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        names = [stem + end for stem in _STEMS for end in _ENDS]
        self.names = iter(rng.permutation(names).tolist())
        self.nodes: list[g.Node] = []
        self.sizes: dict[str, int] = {}

    def graph(self) -> g.Graph:
        rng = self.rng
        kind = str(rng.choice(["uint8", "tokens", "float"]))
        size = int(rng.integers(1, 6))
        low, high = (-1.5, 2.25) if kind == "float" else (0.0, 1.0)
        scale = 1 / 255 if kind == "uint8" else 1.0
        source = next(self.names)
        self._add(
            g.InputNode(source, (), kind, size, low, high, scale), 0 if kind == "tokens" else size
        )
        width = int(rng.choice([1, 2, 3, 5, 9, 17]))
        if kind == "tokens":
            rows = self._weights(size, width)
            self._add(g.EmbeddingNode(next(self.names), (source,), rows), width)
        else:
            self._linear(source, width)
        for _ in range(int(rng.integers(2, 22))):
            self._grow(width)
        end = self._any(recent=1)
        mean, last = next(self.names), next(self.names)
        classes = int(rng.integers(1, 5))
        decoder = rng.normal(size=(classes, self.sizes[end])) * (rng.uniform() < 0.95)
        self._add(g.MeanNode(mean, (end,)), self.sizes[end])
        self._add(g.LinearNode(last, (mean,), decoder, rng.normal(size=classes)), classes)
        return g.Graph(tuple(self.nodes))

    def _add(self, node: g.Node, size: int) -> None:
        self.nodes.append(node)
        self.sizes[node.name] = size

    def _any(self, recent: int = 3, size: int | None = None) -> str:
        """Return a tensor, mostly one of the last, of this many channels."""
        names = [n for n, own in self.sizes.items() if own and size in (None, own)]
        if self.rng.uniform() < 0.7:
            names = names[-recent:]
        return str(self.rng.choice(np.array(names, object)))

    def _weights(self, rows: int, columns: int) -> np.ndarray:
        rng = self.rng
        kind = rng.choice(
            ["normal", "identity", "zero", "ternary", "sparse"], p=[0.5, *[0.125] * 4]
        )
        weight = rng.normal(size=(rows, columns)) / np.sqrt(columns)
        if kind == "identity":
            return np.eye(rows, columns) * rng.choice([1.0, -1.0, 0.5, 3.0])
        if kind == "zero":
            return 0 * weight
        if kind == "ternary":
            return np.sign(weight) * (rng.uniform(size=weight.shape) < 0.7)
        return weight * (rng.uniform(size=weight.shape) < 0.5) if kind == "sparse" else weight

    def _linear(self, source: str, width: int) -> None:
        bias = self.rng.normal(0, 0.3, width) * self.rng.integers(2)
        weight = self._weights(width, self.sizes[source])
        self._add(g.LinearNode(next(self.names), (source,), weight, bias), width)

    def _grow(self, width: int) -> None:
        """Add a node; a mixing layer may change the number of channels."""
        rng, source = self.rng, self._any()
        H, name = self.sizes[source], next(self.names)
        kind = str(rng.choice(_KINDS))
        if kind == "linear":
            self._linear(source, width if rng.uniform() < 0.8 else int(rng.integers(1, 7)))
        elif kind in ("add", "product"):
            node = {"add": g.AddNode, "product": g.ProductNode}[kind]
            self._add(node(name, (source, self._any(recent=99, size=H))), H)
        else:
            for node in self._pointwise(kind, name, source, H):
                self._add(node, H)

    def _pointwise(self, kind: str, name: str, source: str, H: int) -> Iterator[g.Node]:
        rng = self.rng
        gain, bias = rng.normal(1, 0.3, H), rng.normal(0, 0.3, H) * rng.integers(2)
        if kind == "ssm":
            yield self._ssm(name, source, H)
        elif kind == "spike":
            yield g.SpikeNode(name, (source,), rng.normal(0, 0.3, H))
        elif kind == "ternary":
            yield g.TernaryNode(name, (source,), rng.uniform(0, 0.5, H), 0.15)
        elif kind == "lif":
            yield g.LIFNode(name, (source,), rng.uniform(0, 0.97, H), rng.uniform(0.1, 1, H))
        elif kind == "affine":
            yield g.AffineNode(name, (source,), gain * rng.integers(0, 2), bias)
        elif kind == "layernorm":
            yield g.LayerNormNode(name, (source,), gain, bias, 1e-5)
        elif kind == "norms":
            second = next(self.names)
            variance = rng.uniform(0.1, 2, H)
            yield g.BatchNormNode(
                name, (source,), rng.normal(0, 0.3, H), variance, gain, bias, 1e-5
            )
            if rng.integers(2):
                yield g.LayerNormNode(second, (name,), gain, bias, 1e-5)
            else:
                yield g.BatchNormNode(second, (name,), bias, variance, -gain, bias, 1e-5)
        else:
            yield {"sigmoid": g.SigmoidNode, "gelu": g.GELUNode, "relu": g.ReLUNode}[kind](
                name, (source,)
            )

    def _ssm(self, name: str, source: str, H: int) -> g.SSMNode:
        rng, N = self.rng, int(self.rng.integers(1, 5))
        shape = (H, N)
        radius, angle = rng.uniform(0.2, 0.995, shape), rng.uniform(-np.pi, np.pi, shape)
        A = radius * np.exp(1j * angle * rng.integers(2))
        C = rng.normal(size=shape) + 1j * rng.normal(size=shape)
        D = rng.normal(size=H) * rng.integers(2)
        return g.SSMNode(name, (source,), A, 1 - np.abs(A) + 0j, C, D)


_KINDS = (
    *("linear", "linear", "add", "add", "add", "product", "ssm", "ssm", "spike", "ternary", "lif"),
    *("affine", "layernorm", "norms", "norms", "sigmoid", "gelu", "relu"),
)
