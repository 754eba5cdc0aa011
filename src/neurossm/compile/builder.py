"""The program under construction: operations so far, each certified as it is added."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.options import CompileOptions, Widths
from neurossm.compile.ranges import Ranges
from neurossm.compile.rounding import InputStatistics
from neurossm.compile.scaling import (
    MAX_EXPONENT,
    fitting_exponent,
    gain_and_shift,
    to_mantissa,
    value_limit,
)
from neurossm.errors import LimitError, UnsupportedError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.graph.range import Range
from neurossm.program import Affine, Op, unchecked
from neurossm.program.tensor import TensorSpec

_ATTEMPTS = 8
"""A real-valued bound and an integer one differ by roundings: a bit or two always mends it."""
_SEGMENT_LOG2 = 4
"""A table's segments are at least 2**4 integers wide."""


Memory = dict[tuple[object, ...], Any]
"""Results that the compilations of one graph with other widths share; see `Builder.recall`."""
_Result = TypeVar("_Result")


class ResidualOverflowError(Exception):
    """A tensor of the residual stream exceeds its width by rounding: its exponent is too large."""


@dataclass
class Builder:
    """Collects operations; decides nothing but the exponents of what it is asked to requantise."""

    graph: Graph
    ranges: Ranges
    options: CompileOptions
    accumulator_bits: int
    residual_exponent: int
    statistics: Mapping[str, InputStatistics] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)
    ops: dict[str, Op] = field(default_factory=dict)
    graded: dict[str, str] = field(default_factory=dict)
    """By SSM: the tensor that stands for its output where channels are combined."""

    def __post_init__(self) -> None:
        """Remember which tensors belong to the residual stream."""
        self.stream = residual_names(self.graph)

    def widths_for(self, layer: str) -> Widths:
        """Return the widths that a layer has."""
        return self.options.widths_of(layer)

    def recall(self, key: tuple[object, ...], make: Callable[[], _Result]) -> _Result:
        """Return what depends on nothing but the graph and `key`, computed once."""
        if key not in self.memory:
            self.memory[key] = make()
        result: _Result = self.memory[key]
        return result

    @property
    def proving(self) -> bool:
        """Whether every tensor must be proved free of overflow."""
        return self.options.scaling == "proved"

    def certified(self, op: Op) -> Op:
        """Return an operation with its bounds, without adding it."""
        return op.certified(*(self.ops[name].out.interval for name in op.inputs))

    def add(self, op: Op) -> Op:
        """Append an operation with its bounds computed.

        Raises
        ------
        ResidualOverflowError
            It belongs to the residual stream and is not proved although it should be.
        LimitError
            There is a tensor of that name.
        """
        if op.name in self.ops:
            raise LimitError(f"{op.name}: two tensors would have this name; rename the node")
        certified = self.certified(op)
        if self.proving and op.name in self.stream and not certified.out.proved:
            raise ResidualOverflowError(op.name)
        self.ops[op.name] = certified
        return certified

    def add_fitting(self, make: Callable[[IntArray], Op], exponent: IntArray) -> Op:
        """Append `make(exponent)`, lowering the exponents of channels that would not be proved."""
        for _ in range(_ATTEMPTS):
            op = make(exponent)
            reached = op.bounds(*(self.ops[name].out.interval for name in op.inputs))
            over = reached.largest() > 2 ** (op.out.bits - 1) - 1
            if not (self.proving and over.any()):
                break
            exponent = exponent - over
        return self.add(op)

    def out(self, name: str) -> TensorSpec:
        """Return what is known of a tensor."""
        return self.ops[name].out

    def range_of(self, name: str) -> Range:
        """Return what a float tensor can reach."""
        return self.ranges.tensors[name]

    def format_of(self, name: str) -> tuple[int, int]:
        """Return exponent and width, for all channels alike; the stream's if it joins it."""
        if name in self.stream:
            return self.residual_exponent, self.options.widths.residual
        if self.feeds_table(name):
            return self.table_input_format(name)
        bits = self.options.widths.residual
        largest = self.range_of(name).largest().max(keepdims=True)
        exponent = int(fitting_exponent(largest, value_limit(bits))[0])
        return min(exponent, finest_exponent(self.graph, {name})), bits

    def feeds_table(self, name: str) -> bool:
        """Tell whether a table reads a tensor: it then needs one exponent for all channels."""
        return any(isinstance(node, n.PiecewiseLinear) for node in self.graph.readers(name))

    def table_input_format(self, name: str) -> tuple[int, int]:
        """Return exponent and width of a tensor that a table reads.

        The table's segments must be several integers wide. A tensor that reaches far beyond the
        table is made wider for that; it stays inside its neuron.

        Raises
        ------
        LimitError
            It would have to be wider than the accumulator.
        """
        bits = self.widths_for(self.graph[name].layer).mix
        largest = self.range_of(name).largest().max(keepdims=True)
        exponent = min(int(fitting_exponent(largest, value_limit(bits))[0]), bits - 6)
        tables = [node for node in self.graph.readers(name) if isinstance(node, n.PiecewiseLinear)]
        coarsest = max(node.width_log2 for node in tables) + _SEGMENT_LOG2
        bits += max(0, coarsest - exponent)
        if bits > self.accumulator_bits:
            raise LimitError(
                f"{name}: reaches {largest[0]:.3g}, which takes {bits} bits at the resolution that "
                f"{tables[0].name} needs; the accumulator has {self.accumulator_bits}"
            )
        return max(exponent, coarsest), bits

    def requantise(
        self,
        name: str,
        layer: str,
        source: str,
        exponent: IntArray,
        bits: int,
        scale: FloatArray,
        shift: FloatArray,
        *,
        uniform: bool = False,
    ) -> Op:
        """Append the Affine that computes `scale * source + shift` at new exponents.

        Exponents are lowered where the result would not be proved to fit: channel by channel, or
        for all at once where they must be `uniform`; never those of the residual stream.
        """
        have = self.out(source).exponent

        def make(exponents: IntArray) -> Op:
            if uniform:
                exponents = np.full_like(exponents, exponents.min())
            factor = np.ldexp(scale, (exponents - have).astype(np.int32))
            gain, right = gain_and_shift(factor, self.widths_for(layer).gain)
            offset = to_mantissa(shift, exponents)
            out = unchecked(bits, exponents, len(exponents))
            return Affine(name, (source,), out, gain, right, offset, layer=layer)

        if name in self.stream:
            return self.add(make(exponent))
        return self.add_fitting(make, exponent)


def residual_names(graph: Graph) -> frozenset[str]:
    """Return the tensors of the residual stream: what an Add reads or writes, and what is averaged.

    They share one exponent, so that they add without shifts.
    """
    names: set[str] = set()
    for node in graph.nodes:
        if isinstance(node, n.Add):
            names |= {*node.inputs, node.name}
        if isinstance(node, n.Mean):
            names.add(node.inputs[0])
    return frozenset(names)


def finest_exponent(graph: Graph, names: Collection[str]) -> int:
    """Return the largest exponent these tensors may have for the layer normalisations behind them.

    A LayerNorm's `eps` is an integer below 2**52 in units of `H^-3 4^-exponent`.
    """
    finest = MAX_EXPONENT
    for node in graph.nodes:
        if isinstance(node, n.LayerNorm) and node.inputs[0] in names:
            unit = np.log2(node.eps * node.gain.size**3)
            finest = min(finest, int(np.floor((51 - unit) / 2)))
    return finest


def uniform_exponent(name: str, exponent: IntArray) -> int:
    """Return the exponent that all channels share.

    Raises
    ------
    UnsupportedError
        They differ, and the operation `name` combines channels.
    """
    if (exponent != exponent[0]).any():
        raise UnsupportedError(f"{name}: combines channels of different exponents")
    return int(exponent[0])
