"""Turn a folded, approximated float graph into an integer program, node by node."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from neurossm.compile import quantise_mixing as mixing
from neurossm.compile import quantise_pointwise as pointwise
from neurossm.compile import quantise_ssm as ssm
from neurossm.compile.builder import (
    Builder,
    Memory,
    ResidualOverflowError,
    finest_exponent,
    residual_names,
)
from neurossm.compile.options import CompileOptions
from neurossm.compile.ranges import Ranges
from neurossm.compile.rounding import InputStatistics
from neurossm.compile.scaling import fitting_exponent, value_limit
from neurossm.errors import LimitError, UnsupportedError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.program import Op

_ATTEMPTS = 4


def quantise(
    graph: Graph,
    ranges: Ranges,
    options: CompileOptions,
    accumulator_bits: int,
    statistics: Mapping[str, InputStatistics] | None = None,
    memory: Memory | None = None,
) -> tuple[Op, ...]:
    """Return the operations of the integer program, bounds filled in.

    Parameters
    ----------
    graph
        Folded and approximated.
    ranges
        What every tensor can reach; decides the exponents.
    options
        Widths and the longest sample.
    accumulator_bits
        Width in which the target sums products.
    statistics
        Of the mixing layers' inputs, by name; layers without are rounded to nearest.
    memory
        What earlier calls with the same graph, ranges and statistics, and with options that
        differ in widths only, computed already.

    Raises
    ------
    UnsupportedError
        A node, or an order of nodes, that has no integer form.
    LimitError
        A sum that the accumulator cannot hold, or states too narrow.
    """
    _check_shape(graph)
    memory = {} if memory is None else memory
    exponent = _residual_exponent(graph, ranges, options)
    for spare in range(_ATTEMPTS):
        builder = Builder(
            graph, ranges, options, accumulator_bits, exponent - spare, statistics or {}, memory
        )
        try:
            for node in graph.nodes:
                quantise_node(node, builder)
        except ResidualOverflowError:
            continue
        return tuple(builder.ops.values())
    raise LimitError(
        f"the residual stream cannot be proved to fit {options.widths.residual} bits; "
        "use more residual bits or calibrated scaling"
    )


def _check_shape(graph: Graph) -> None:
    """Refuse a graph that does not end in a mean over time and a decoder."""
    output = graph.output
    reads_mean = bool(output.inputs) and isinstance(graph[output.inputs[0]], n.Mean)
    if not (isinstance(output, n.Linear) and reads_mean):
        raise UnsupportedError(
            f"{output.name}: a network must end in a mean over time and a linear decoder, not in a "
            f"{type(output).__name__}"
        )


def _residual_exponent(graph: Graph, ranges: Ranges, options: CompileOptions) -> int:
    """Return the exponent all residual tensors share, so that they add without shifts."""
    stream = residual_names(graph)
    largest = max(ranges.tensors[name].largest().max() for name in stream)
    limit = value_limit(options.widths.residual)
    exponent = int(fitting_exponent(np.array([largest]), limit)[0])
    return min(exponent, finest_exponent(graph, stream))


@singledispatch
def quantise_node(node: n.Node, b: Builder) -> None:
    """Append the operations that stand for a node."""
    raise UnsupportedError(
        f"{node.name}: the compiler has no integer form for a {type(node).__name__}"
    )


@quantise_node.register
def _(node: n.Mean, b: Builder) -> None:
    """Nothing: the mean is part of the Readout, which the decoder becomes."""


quantise_node.register(n.Input, mixing.quantise_input)
quantise_node.register(n.Embedding, mixing.quantise_embedding)
quantise_node.register(n.Linear, mixing.quantise_linear)
quantise_node.register(n.SSM, ssm.quantise_ssm)
quantise_node.register(n.Affine, pointwise.quantise_affine)
quantise_node.register(n.Spike, pointwise.quantise_spike)
quantise_node.register(n.Ternary, pointwise.quantise_ternary)
quantise_node.register(n.PiecewiseLinear, pointwise.quantise_table)
quantise_node.register(n.Product, pointwise.quantise_product)
quantise_node.register(n.Add, pointwise.quantise_add)
quantise_node.register(n.LayerNorm, pointwise.quantise_layer_norm)
