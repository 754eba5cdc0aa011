"""Turn a folded, approximated float graph into integer operations, node by node.

One file per subject: `mixing` (what combines channels), `pointwise`, `ssm`. Each enters its nodes
into the table of `neurossm.compile.rules`; a new pointwise node is a function in `pointwise`, a new
kind of neuron a file beside `ssm`, imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurossm.compile.emit import lif as lif
from neurossm.compile.emit import mixing as mixing
from neurossm.compile.emit import pointwise as pointwise
from neurossm.compile.emit import soft_reset as soft_reset
from neurossm.compile.emit import softmax as softmax
from neurossm.compile.emit import ssm as ssm
from neurossm.compile.emit.builder import Builder
from neurossm.compile.format_planner import plan_formats
from neurossm.compile.formats import sums_are_read_raw
from neurossm.compile.options import CompileOptions
from neurossm.compile.poles import Poles, check_drift, prepare_poles
from neurossm.compile.ranges import Ranges
from neurossm.compile.rounding import InputStatistics, Weights, integer_weights
from neurossm.compile.rules import rule_of
from neurossm.compile.scaling import to_mantissa
from neurossm.errors import LimitError, UnsupportedError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.program import Op

Memory = dict[tuple[str, str, int], Any]
"""Results that the compilations of one graph with other widths share: poles and weights."""


def emit_program(
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
    weights = _weights(graph, options, statistics or {}, memory)
    poles = _poles(graph, options, memory)
    spare = 0
    for _ in range(2):  # again only where roundings take the residual stream beyond its width
        formats = plan_formats(graph, ranges, options, accumulator_bits, weights, poles, spare)
        builder = Builder(graph, ranges, options, accumulator_bits, formats, weights, poles)
        for node in graph.nodes:
            rule_of(node).emit(node, builder)
        if builder.missing_bits == 0:
            return tuple(builder.ops.values())
        spare = builder.missing_bits
    raise LimitError(
        f"the residual stream cannot be proved to fit {options.widths.residual} bits; "
        "use more residual bits or calibrated scaling"
    )


def _check_shape(graph: Graph) -> None:
    """Refuse a graph that does not end in a mean over time and a decoder."""
    output = graph.output
    reads_mean = bool(output.inputs) and isinstance(graph[output.inputs[0]], n.MeanNode)
    if not (isinstance(output, n.LinearNode) and reads_mean):
        raise UnsupportedError(
            f"{output.name}: a network must end in a mean over time and a linear decoder, not in a "
            f"{type(output).__name__}"
        )
    for node in graph.nodes[:-1]:
        for name in node.inputs:
            if isinstance(graph[name], n.MeanNode):
                raise UnsupportedError(
                    f"{node.name}: reads {name!r}, a mean over time, which only the decoder at the "
                    "end may"
                )


def _weights(
    graph: Graph,
    options: CompileOptions,
    statistics: Mapping[str, InputStatistics],
    memory: Memory,
) -> dict[str, Weights]:
    """Round the weights of all layers but the decoder, whose width is the logits'."""
    found: dict[str, Weights] = {}
    for node in graph.nodes:
        if not isinstance(node, n.LinearNode) or isinstance(graph[node.inputs[0]], n.MeanNode):
            continue
        key = ("weights", node.name, options.widths_of(node.layer).weight)
        if key not in memory and sums_are_read_raw(graph, node):
            ones = np.ones(len(node.bias))
            memory[key] = Weights(to_mantissa(node.weight, 0), ones, node.bias)
        elif key not in memory:
            seen = statistics.get(node.name)
            memory[key] = integer_weights(node, key[2], options.row_scale, seen)
        found[node.name] = memory[key]
    return found


def _poles(graph: Graph, options: CompileOptions, memory: Memory) -> dict[str, Poles]:
    found: dict[str, Poles] = {}
    for node in graph.nodes:
        if isinstance(node, n.SSMNode):
            key = ("poles", node.name, options.widths_of(node.layer).pole)
            if key not in memory:
                memory[key] = prepare_poles(node, key[2], options.pole_margin_log2)
            found[node.name] = memory[key]
            if options.scaling == "proved":
                check_drift(node.name, memory[key], options.widths_of(node.layer).state)
    return found
