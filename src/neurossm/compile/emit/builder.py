"""The program under construction: operations so far, each certified as it is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.formats import Format, Formats, Part
from neurossm.compile.options import CompileOptions, Widths
from neurossm.compile.poles import Poles
from neurossm.compile.ranges import Ranges
from neurossm.compile.rounding import Weights
from neurossm.compile.scaling import gain_and_shift, largest_mantissa, to_mantissa
from neurossm.errors import LimitError, UnsupportedError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.naming import part_of
from neurossm.program import Affine, Op, unchecked
from neurossm.program.tensor import TensorSpec


@dataclass
class Builder:
    """Collects the operations of a graph whose formats, weights and poles are known."""

    graph: Graph
    ranges: Ranges
    options: CompileOptions
    accumulator_bits: int
    formats: Formats
    weights: Mapping[str, Weights]
    poles: Mapping[str, Poles]
    ops: dict[str, Op] = field(default_factory=dict)
    parts: dict[tuple[str, Part], str] = field(default_factory=dict)
    """The tensors that Affines made of others, by node and part."""
    missing_bits: int = 0
    """By how many bits the residual stream exceeds its width, where it must be proved."""

    def widths_for(self, layer: str) -> Widths:
        """Return the widths that a layer has."""
        return self.options.widths_of(layer)

    @property
    def proving(self) -> bool:
        """Whether every tensor must be proved free of overflow."""
        return self.options.scaling == "proved"

    def out(self, name: str) -> TensorSpec:
        """Return what is known of a tensor."""
        return self.ops[name].out

    def read(self, node: n.Node, index: int) -> str:
        """Return the tensor that a node reads as one of its inputs, made as the node needs it."""
        source = self.graph[node.inputs[index]]
        part = self.formats.reads.get((node.name, source.name))
        if part is None:
            return source.name
        if (source.name, part) not in self.parts:
            self.parts[source.name, part] = self._part(source, part)
        return self.parts[source.name, part]

    def _part(self, source: n.Node, part: Part) -> str:
        name, wanted = part_of(source.name, part.value), self.formats.parts[source.name, part]
        have = self.out(source.name)
        if part is Part.GRADED:  # nothing is won beyond the coarsest channel
            exponent = np.minimum(wanted.exponent, have.exponent.min())
            wanted = Format(wanted.bits, exponent)
        ones, zeros = np.ones(have.channels), np.zeros(have.channels)
        stream = part is Part.STREAM
        op = self.requantise(name, source.layer, source.name, wanted, ones, zeros, stream=stream)
        return op.name

    def add(self, op: Op, *, stream: bool = False) -> Op:
        """Append an operation with its bounds computed; say if it is of the residual stream.

        Raises
        ------
        LimitError
            There is a tensor of that name.
        """
        if op.name in self.ops:
            raise LimitError(f"{op.name}: two tensors would have this name; rename the node")
        if stream and self.proving:
            self.missing_bits = max(self.missing_bits, int(self._over(op).max()))
        self.ops[op.name] = self.certified(op)
        return self.ops[op.name]

    def certified(self, op: Op) -> Op:
        """Return an operation with its bounds, without adding it."""
        return op.certified(*(self.out(name).interval for name in op.inputs))

    def add_at(self, node: n.Node, make: Callable[[Format], Op]) -> Op:
        """Append a node's operation at the node's own format; see `settled`."""
        stream = node.name in self.formats.stream
        return self.add(self.settled(make, self.formats.own[node.name], stream), stream=stream)

    def settled(self, make: Callable[[Format], Op], wanted: Format, stream: bool) -> Op:
        """Return an operation at a format, or with as many bits less as its proof asks for.

        A real-valued bound and that of the integers differ by what was rounded. The exponents of
        channels whose integers may exceed the width are lowered, those of all channels where they
        are equal; the residual stream's are not, as they are shared with other tensors.
        """
        op = make(wanted)
        if stream or not self.proving:
            return op
        over = self._over(op)
        if not over.any():
            return op
        over = np.full_like(over, over.max()) if wanted.uniform else over
        return make(Format(wanted.bits, wanted.exponent - over))

    def _over(self, op: Op) -> IntArray:
        """Return by how many bits each channel of an operation's result may exceed its width."""
        largest = op.bounds(*(self.out(name).interval for name in op.inputs)).largest()
        limit = largest_mantissa(op.out.bits)
        needed = np.ceil(np.log2(np.maximum(largest / max(limit - 4, 1), 1.0))).astype(np.int64)
        return np.where(largest > limit, np.maximum(needed, 1), 0)

    def requantise(
        self,
        name: str,
        layer: str,
        source: str,
        wanted: Format,
        scale: FloatArray,
        shift: FloatArray,
        *,
        stream: bool = False,
    ) -> Op:
        """Append the Affine that computes `scale * source + shift` at a format; see `settled`."""
        have = self.out(source).exponent

        def make(format_: Format) -> Op:
            factor = np.ldexp(scale, (format_.exponent - have).astype(np.int32))
            gain, right = gain_and_shift(factor, self.widths_for(layer).gain)
            offset = to_mantissa(shift, format_.exponent)
            out = unchecked(format_.bits, format_.exponent, len(scale))
            return Affine(name, (source,), out, gain, right, offset, layer=layer)

        return self.add(self.settled(make, wanted, stream), stream=stream)

    def rescale(self, node: n.Node, source: str, scale: FloatArray, shift: FloatArray) -> Op:
        """Append the Affine that computes a node's tensor, at the node's own format."""
        wanted, stream = self.formats.own[node.name], node.name in self.formats.stream
        return self.requantise(node.name, node.layer, source, wanted, scale, shift, stream=stream)


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
