"""Turn a folded, approximated float graph into integer operations, node by node.

One file per subject: `mixing` (what combines channels), `pointwise`, `ssm`. Each enters its nodes
into the table of `neurossm.compile.rules`; a new pointwise node is a function in `pointwise`, a new
kind of neuron a file beside `ssm`, imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
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
from neurossm.refusals import Refusals

Memory = dict[tuple[str, str, int], Any]
"""Results that the compilations of one graph with other widths share: poles and weights."""


def emit_program(
    graph: Graph,
    ranges: Ranges,
    options: CompileOptions,
    accumulator_bits: int,
    statistics: Mapping[str, InputStatistics] | None = None,
    memory: Memory | None = None,
    refusals: Refusals | None = None,
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
    refusals
        Gathers what is refused, node by node; the first is raised in the end all the same.

    Raises
    ------
    UnsupportedError
        A node, or an order of nodes, that has no integer form.
    LimitError
        A sum that the accumulator cannot hold, or states too narrow.
    """
    refusals = Refusals() if refusals is None else refusals
    memory = {} if memory is None else memory
    _check_nodes(graph, refusals)
    weights = _weights(graph, options, statistics or {}, memory, refusals)
    poles = _poles(graph, options, memory, refusals)
    refusals.stop()
    spare = 0
    for _ in range(2):  # again only where roundings take the residual stream beyond its width
        formats = plan_formats(
            graph, ranges, options, accumulator_bits, weights, poles, spare, refusals
        )
        builder = Builder(graph, ranges, options, accumulator_bits, formats, weights, poles)
        for node in graph.nodes:
            refusals.attempt(node.name, partial(rule_of(node).emit, node, builder), node.inputs)
        refusals.stop()
        if builder.missing_bits == 0:
            return tuple(builder.ops.values())
        spare = builder.missing_bits
    raise LimitError(
        f"the residual stream cannot be proved to fit {options.widths.residual} bits; "
        "use more residual bits or calibrated scaling"
    )


def _check_nodes(graph: Graph, refusals: Refusals) -> None:
    """Refuse nodes without an integer form, and graphs of another shape."""
    for node in graph.nodes:
        refusals.attempt(node.name, partial(rule_of, node))
    refusals.attempt(graph.output.name, partial(_check_end, graph))
    for node in graph.nodes[:-1]:
        refusals.attempt(node.name, partial(_check_inputs, graph, node))
    refusals.stop()


def _check_end(graph: Graph) -> None:
    """Refuse a graph that does not end in a pool over time and a decoder."""
    output = graph.output
    reads_pool = bool(output.inputs) and isinstance(graph[output.inputs[0]], n.PoolNode)
    if not (isinstance(output, n.LinearNode) and reads_pool):
        raise UnsupportedError(
            f"{output.name}: a network must end in a mean over time (or the last step, or "
            f"the maximum) and a linear decoder, not in a {type(output).__name__}"
        )


def _check_inputs(graph: Graph, node: n.Node) -> None:
    """Refuse a pool over time in the middle."""
    for name in node.inputs:
        if isinstance(graph[name], n.PoolNode):
            raise UnsupportedError(
                f"{node.name}: reads {name!r}, a pool over time, which only the decoder at the "
                "end may"
            )


def _weights(
    graph: Graph,
    options: CompileOptions,
    statistics: Mapping[str, InputStatistics],
    memory: Memory,
    refusals: Refusals,
) -> dict[str, Weights]:
    """Round the weights of all layers but the decoder, whose width is the logits'."""
    found: dict[str, Weights] = {}
    for node in graph.nodes:
        if not isinstance(node, n.LinearNode) or isinstance(graph[node.inputs[0]], n.PoolNode):
            continue
        key = ("weights", node.name, options.widths_of(node.layer).weight)
        if key not in memory:
            seen = statistics.get(node.name)
            work = partial(_rounded, graph, node, key[2], options, seen)
            rounded = refusals.attempt(node.name, work)
            if rounded is None:
                continue
            memory[key] = rounded
        found[node.name] = memory[key]
    return found


def _rounded(
    graph: Graph,
    node: n.LinearNode,
    bits: int,
    options: CompileOptions,
    seen: InputStatistics | None,
) -> Weights:
    if sums_are_read_raw(graph, node):
        return Weights(to_mantissa(node.weight, 0), np.ones(len(node.bias)), node.bias)
    return integer_weights(node, bits, options.row_scale, seen)


def _poles(
    graph: Graph, options: CompileOptions, memory: Memory, refusals: Refusals
) -> dict[str, Poles]:
    found: dict[str, Poles] = {}
    for node in graph.nodes:
        if isinstance(node, n.SSMNode):
            work = partial(_prepared, node, options, memory)
            poles = refusals.attempt(node.name, work)
            found |= {} if poles is None else {node.name: poles}
    return found


def _prepared(node: n.SSMNode, options: CompileOptions, memory: Memory) -> Poles:
    widths = options.widths_of(node.layer)
    key = ("poles", node.name, widths.pole)
    if key not in memory:
        memory[key] = prepare_poles(node, key[2], options.pole_margin_log2)
    poles: Poles = memory[key]
    if options.scaling == "proved":
        check_drift(node.name, poles, widths.state)
    return poles
