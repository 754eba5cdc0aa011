"""Choose the width and the exponents of every tensor, before any operation is made.

A node's tensor gets the format its readers ask for, if it can have any. Where it cannot, because
its format is fixed (data, spikes, an SSM's output) or two readers ask for different things, an
Affine stands between, one for each purpose: it brings the tensor to the residual stream's exponent
(`Part.STREAM`), to one exponent and a width whose weighted sums fit the accumulator
(`Part.GRADED`), or to a resolution at which a table works (`Part.TABLE`).

Only what follows from an operation's own integers is left to `emit`: the exponents of an SSM's
output, and a bit less where the proved bound of a rounded tensor exceeds its width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.compile.formats import (
    Format,
    Formats,
    Part,
    drive_format,
    driven_alone,
    feeds_weights,
    is_fixed,
    private_to_ssm,
    sums_are_read_raw,
)
from neurossm.compile.options import CompileOptions
from neurossm.compile.poles import Poles
from neurossm.compile.ranges import Ranges
from neurossm.compile.rounding import Weights
from neurossm.compile.rules import Need, rule_of
from neurossm.compile.scaling import (
    MAX_EXPONENT,
    fitting_exponent,
    largest_mantissa,
    value_limit,
)
from neurossm.compile.soft_reset import fitting, quantised
from neurossm.errors import LimitError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.refusals import Refusals

_SEGMENT_LOG2 = 4
"""A table's segments are at least 2**4 integers wide."""
_ROUNDING = 1 + 2.0**-6
"""By what factor roundings may take a sum beyond its real-valued bound."""


def plan_formats(
    graph: Graph,
    ranges: Ranges,
    options: CompileOptions,
    accumulator_bits: int,
    weights: Mapping[str, Weights],
    poles: Mapping[str, Poles],
    spare_bits: int = 0,
    refusals: Refusals | None = None,
) -> Formats:
    """Choose the formats of all tensors.

    Parameters
    ----------
    graph
        Folded and approximated.
    ranges
        What every tensor can reach.
    options
        Widths.
    accumulator_bits
        Width in which the target sums products.
    weights, poles
        Integer weights of Linear nodes and integer poles of SSMs, by node.
    spare_bits
        Bits of the residual stream left unused, beside what its range leaves.
    refusals
        Gathers what is refused, node by node; the first is raised in the end all the same.

    Raises
    ------
    LimitError
        A tensor would have to be wider than the accumulator, or values beyond double precision.
    """
    planner = _FormatPlanner(graph, ranges, options, accumulator_bits, weights, spare_bits)
    refusals = Refusals() if refusals is None else refusals
    for node in graph.nodes:
        refusals.attempt(node.name, partial(planner.plan, node))
    refusals.stop()
    drive = {
        node.name: drive_format(graph, node, ranges, options, poles[node.name])
        for node in graph.nodes
        if isinstance(node, n.SSMNode)
    }
    return Formats(planner.own, drive, planner.parts, planner.reads, planner.raw, planner.stream)


class _FormatPlanner:
    """Takes the nodes in turn."""

    def __init__(
        self,
        graph: Graph,
        ranges: Ranges,
        options: CompileOptions,
        accumulator_bits: int,
        weights: Mapping[str, Weights],
        spare_bits: int,
    ) -> None:
        self.graph, self.ranges, self.options = graph, ranges, options
        self.accumulator_bits, self.weights = accumulator_bits, weights
        self.own: dict[str, Format] = {}
        self.parts: dict[tuple[str, Part], Format] = {}
        self.reads: dict[tuple[str, str], Part] = {}
        self.raw = frozenset(
            node.name
            for node in graph.nodes
            if isinstance(node, n.LinearNode) and sums_are_read_raw(graph, node)
        )
        wanted = [
            (name, graph[name])
            for node in graph.nodes
            if rule_of(node).needs in (Need.ADDED, Need.AVERAGED)
            for name in ((*node.inputs, node.name) if isinstance(node, n.AddNode) else node.inputs)
        ]
        self.stream = frozenset(name for name, node in wanted if not is_fixed(node))
        self.stream_exponent = self._stream_exponent([name for name, _ in wanted]) - spare_bits

    def plan(self, node: n.Node) -> None:
        """Choose a node's format, and the parts that stand between it and its readers."""
        if not (is_fixed(node) or node.name in self.raw or private_to_ssm(self.graph, node)):
            self.own[node.name] = self._own(node)
        for reader in self.graph.readers(node.name):
            part = self._part(node, reader)
            if part is not None:
                self.reads[reader.name, node.name] = part
        for part in {part for (_, name), part in self.reads.items() if name == node.name}:
            self.parts[node.name, part] = self._part_format(node, part)

    def _own(self, node: n.Node) -> Format:
        size = self._largest(node.name).size
        if node.name in self.stream:
            return _shared(self.options.widths.residual, self.stream_exponent, size)
        neuron = driven_alone(self.graph, node)
        if neuron is not None:
            finest = fitting(neuron, quantised(neuron, self.options), self.ranges, self.options)
            return Format(self.options.widths_of(neuron.layer).state, finest)
        if self._tables(node.name):
            fine = self._for_table(node)
            exponent = min(int(fine.exponent[0]), self._finest([node.name]))
            return _shared(fine.bits, exponent, size)
        rule, widths = rule_of(node), self.options.widths_of(node.layer)
        from_data = isinstance(node, n.LinearNode) and isinstance(
            self.graph[node.inputs[0]], n.InputNode
        )
        feeds = feeds_weights(self.graph, node)
        if from_data or (rule.width == "residual" and not feeds):
            return self._uniform(node.name, self.options.widths.residual)
        bits = getattr(widths, rule.width)
        if feeds:
            bits = self._summable(widths.graded, self.graph.readers(node.name))
        if isinstance(node, n.PiecewiseLinearNode):  # known exactly, but for rounding
            return self._uniform(node.name, bits, largest_mantissa(bits) - 1.0)
        if any(
            rule_of(reader).needs in (Need.UNIFORM, Need.SUMMED)
            for reader in self.graph.readers(node.name)
        ):
            return self._uniform(node.name, bits)
        return Format(bits, fitting_exponent(self._largest(node.name), value_limit(bits)))

    def _part(self, node: n.Node, reader: n.Node) -> Part | None:
        """Return the part of a node's tensor that a reader needs; None for the tensor itself."""
        need, own = rule_of(reader).needs, self.own.get(node.name)
        several = isinstance(node, n.SSMNode)  # exponents that differ
        if need is Need.ADDED:
            return None if node.name in self.stream else Part.STREAM
        if need is Need.AVERAGED:
            return Part.STREAM if several else None
        if need is Need.TABULATED:
            coarsest = self._coarsest([reader])
            fine = own is not None and own.uniform and own.exponent[0] >= coarsest
            return None if fine else Part.TABLE
        if need is Need.SUMMED and own is not None and not self._sum_fits(own, node, reader):
            return Part.GRADED
        if need in (Need.UNIFORM, Need.SUMMED) and several:
            return Part.GRADED
        return None

    def _part_format(self, node: n.Node, part: Part) -> Format:
        if part is Part.STREAM:
            size = self._largest(node.name).size
            return _shared(self.options.widths.residual, self.stream_exponent, size)
        if part is Part.TABLE:
            return self._for_table(node)
        widths = self.options.widths_of(node.layer)
        bits = widths.graded if isinstance(node, n.SSMNode) else self.own[node.name].bits
        readers = self.graph.readers(node.name)
        of_part = [r for r in readers if self.reads.get((r.name, node.name)) is part]
        return self._uniform(node.name, self._summable(bits, of_part))

    def _summable(self, bits: int, readers: Iterable[n.Node]) -> int:
        """Return the widest width whose every value the accumulator holds as often as weights ask.

        At most `bits`.
        """
        integers = [self.weights[r.name].integers for r in readers if r.name in self.weights]
        if not integers:
            return max(bits, 2)
        most = max(1, *(np.abs(weight).sum(axis=1).max() for weight in integers))
        return max(2, min(bits, int(self._sum_limit() // most).bit_length()))

    def _sum_fits(self, own: Format, node: n.Node, reader: n.Node) -> bool:
        """Tell whether a weighted sum of a tensor fits the accumulator."""
        reach = np.full(own.exponent.size, 2.0 ** (own.bits - 1))
        if self.options.scaling == "proved":
            seen = np.ldexp(self._largest(node.name), own.exponent.astype(np.int32))
            reach = np.minimum(reach, seen * _ROUNDING + 8)
        worst = np.abs(self.weights[reader.name].integers) @ reach
        return bool(worst.max() <= self._sum_limit())

    def _sum_limit(self) -> int:
        return largest_mantissa(self.accumulator_bits - 1)  # Lava's Dense holds twice the weights

    def _stream_exponent(self, names: list[str]) -> int:
        """Return the exponent all residual tensors share, so that they add without shifts."""
        if not names:
            return 0
        largest = np.array([max(self._largest(name).max() for name in names)])
        limit = value_limit(self.options.widths.residual)
        return min(int(fitting_exponent(largest, limit)[0]), self._finest(names))

    def _uniform(self, name: str, bits: int, limit: float | None = None) -> Format:
        """Return the finest format of one exponent, within what LayerNorms behind it admit."""
        largest = self._largest(name)
        limit = value_limit(bits) if limit is None else limit
        exponent = int(fitting_exponent(largest.max(keepdims=True), limit)[0])
        return _shared(bits, min(exponent, self._finest([name])), largest.size)

    def _finest(self, names: Iterable[str]) -> int:
        """Return the largest exponent that the layer normalisations behind tensors admit.

        A LayerNorm's `eps` is an integer below 2**52 in units of `H^-3 4^-exponent`.
        """
        finest = MAX_EXPONENT
        for node in self.graph.nodes:
            if isinstance(node, n.LayerNormNode) and node.inputs[0] in names:
                unit = np.log2(node.eps * node.gain.size**3)
                finest = min(finest, int(np.floor((51 - unit) / 2)))
        return finest

    def _for_table(self, node: n.Node) -> Format:
        """Return the format of a tensor that a table reads.

        The table's segments must be several integers wide. A tensor that reaches far beyond the
        table is made wider for that; it stays inside its neuron.
        """
        widths = self.options.widths_of(node.layer)
        bits = widths.graded if isinstance(node, n.SSMNode) else widths.mix
        largest = self._largest(node.name).max(keepdims=True)
        exponent = min(int(fitting_exponent(largest, value_limit(bits))[0]), bits - 6)
        tables = self._tables(node.name)
        coarsest = self._coarsest(tables)
        bits += max(0, coarsest - exponent)
        if bits > self.accumulator_bits:
            raise LimitError(
                f"{node.name}: reaches {largest[0]:.3g}, which takes {bits} bits at the resolution "
                f"that {tables[0].name} needs; the accumulator has {self.accumulator_bits}"
            )
        return _shared(bits, max(exponent, coarsest), self._largest(node.name).size)

    def _tables(self, name: str) -> list[n.Node]:
        readers = self.graph.readers(name)
        return [reader for reader in readers if rule_of(reader).needs is Need.TABULATED]

    @staticmethod
    def _coarsest(tables: Iterable[n.Node]) -> int:
        """Return the smallest exponent at which tables' segments are wide enough."""
        return max(
            node.width_log2 + _SEGMENT_LOG2
            for node in tables
            if isinstance(node, n.PiecewiseLinearNode)
        )

    def _largest(self, name: str) -> FloatArray:
        return self.ranges.tensors[name].largest()


def _shared(bits: int, exponent: int, size: int) -> Format:
    return Format(bits, np.full(size, exponent))
