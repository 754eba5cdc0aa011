"""The formats of a graph's tensors, and what nodes are to each other where formats are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.options import CompileOptions
from neurossm.compile.poles import Poles, drive_deficit
from neurossm.compile.ranges import Ranges
from neurossm.compile.rules import Need, rule_of
from neurossm.compile.scaling import fitting_exponent, value_limit
from neurossm.graph import Graph
from neurossm.graph import nodes as n


class Part(Enum):
    """What an Affine brings a tensor to; its value is the part's name."""

    STREAM = "stream"
    GRADED = "graded"
    TABLE = "table"


@dataclass(frozen=True, eq=False)
class Format:
    """Width, and exponents (C)."""

    bits: int
    exponent: IntArray

    @property
    def uniform(self) -> bool:
        """Whether all channels share one exponent."""
        return bool((self.exponent == self.exponent[0]).all())


@dataclass(frozen=True, eq=False)
class Formats:
    """The formats of a graph's tensors.

    Parameters
    ----------
    own
        Of the tensors of nodes whose format can be chosen, by node.
    drive
        Of the inputs of SSMs, by SSM.
    parts
        Of the tensors that an Affine makes of another, by node and part.
    reads
        Which part a node reads of another, by both names; left out where it reads the tensor as
        it is.
    raw
        Ternary weights whose sums are read as they are.
    """

    own: Mapping[str, Format]
    drive: Mapping[str, Format]
    parts: Mapping[tuple[str, Part], Format]
    reads: Mapping[tuple[str, str], Part]
    raw: frozenset[str]
    stream: frozenset[str]


def drive_format(
    graph: Graph, node: n.SSMNode, ranges: Ranges, options: CompileOptions, poles: Poles
) -> Format:
    """Return the format of an SSM's input: as fine as its width and the states allow."""
    widths = options.widths_of(node.layer)
    largest = ranges.tensors[node.inputs[0]].largest()
    exponent = fitting_exponent(largest, value_limit(widths.drive))
    peak = in_drive_units(ranges, node, exponent)
    reached = np.ldexp(largest, exponent.astype(np.int32)).astype(np.float64) + 1
    exponent = exponent - drive_deficit(poles, reached, peak, widths.state)
    return Format(widths.drive, exponent)


def in_drive_units(ranges: Ranges, node: n.SSMNode, exponent: IntArray) -> FloatArray | None:
    """Return an SSM's largest states in units of an input of these exponents, if they were seen."""
    if ranges.states is None:
        return None
    return np.ldexp(ranges.states[node.name], exponent[:, None].astype(np.int32))


def private_to_ssm(graph: Graph, node: n.Node) -> bool:
    """Tell an Affine that only an SSM reads, a prenorm: it is the SSM's drive."""
    readers = graph.readers(node.name)
    return (
        isinstance(node, n.AffineNode) and len(readers) == 1 and isinstance(readers[0], n.SSMNode)
    )


def is_scaled(node: n.InputNode) -> bool:
    """Tell data that stand for a multiple of themselves, which not everything behind could take."""
    return node.kind != "tokens" and node.scale != 1.0


def sums_are_read_raw(graph: Graph, node: n.LinearNode) -> bool:
    """Tell ternary weights of an SSM's output, as in a GSU, whose sums only products read.

    They are small integers without a bias: a product takes the sum as it is.
    """
    readers = graph.readers(node.name)
    return bool(
        isinstance(graph[node.inputs[0]], n.SSMNode)
        and readers
        and all(isinstance(reader, n.ProductNode) for reader in readers)
        and np.isin(node.weight, (-1.0, 0.0, 1.0)).all()
        and not node.bias.any()
    )


def feeds_weights(graph: Graph, node: n.Node) -> bool:
    """Tell a function of single channels whose values weights multiply, as in graded S4D."""
    return isinstance(node, (n.PiecewiseLinearNode, n.ReLUNode)) and any(
        rule_of(reader).needs is Need.SUMMED for reader in graph.readers(node.name)
    )


def driven_alone(graph: Graph, node: n.Node) -> n.SoftResetNode | None:
    """Return the neuron with soft reset that alone reads a Linear node as it is, if one does."""
    readers = graph.readers(node.name)
    if (
        isinstance(node, n.LinearNode)
        and len(readers) == 1
        and isinstance(readers[0], n.SoftResetNode)
    ):
        return readers[0] if (readers[0].gain == 1).all() else None
    return None


def is_fixed(node: n.Node) -> bool:
    """Tell whether a node's format follows from itself; scaled data come out of an Affine."""
    return rule_of(node).fixed and not (isinstance(node, n.InputNode) and is_scaled(node))
