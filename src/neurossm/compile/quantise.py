"""Turn a folded, approximated float graph into an integer program, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from neurossm.arrays import IntArray
from neurossm.compile.approximate import SLOPE_EXPONENT
from neurossm.compile.certify import refuse_wrap
from neurossm.compile.options import CompileOptions
from neurossm.compile.quantise_ssm import drive_deficit, prepare_poles, quantise_ssm
from neurossm.compile.ranges import Range, Ranges
from neurossm.compile.scaling import (
    MAX_EXPONENT,
    fitting_exponent,
    gain_and_shift,
    largest_mantissa,
    to_mantissa,
    value_limit,
)
from neurossm.errors import UnsupportedError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.program import (
    Add,
    Affine,
    Dense,
    Embedding,
    Input,
    Op,
    Product,
    Readout,
    Spike,
    Table,
    unchecked,
)
from neurossm.program.tensor import TensorSpec

FLOAT_INPUT_BITS = 16
LOGIT_BITS = 32


@dataclass
class _Builder:
    """The operations so far; every tensor is certified as it is added."""

    graph: Graph
    ranges: Ranges
    options: CompileOptions
    accumulator_bits: int
    residual_exponent: int
    ops: dict[str, Op] = field(default_factory=dict)

    def add(self, op: Op) -> Op:
        """Append an operation with its bounds computed."""
        certified = op.certified(*(self.ops[name].out.interval for name in op.inputs))
        self.ops[op.name] = certified
        return certified

    def out(self, name: str) -> TensorSpec:
        """Return what is known of a tensor."""
        return self.ops[name].out


def quantise(
    graph: Graph, ranges: Ranges, options: CompileOptions, accumulator_bits: int
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

    Raises
    ------
    UnsupportedError
        A node, or an order of nodes, that has no integer form.
    LimitError
        A sum that the accumulator cannot hold, or states too narrow.
    """
    builder = _Builder(
        graph, ranges, options, accumulator_bits, _residual_exponent(graph, ranges, options)
    )
    for node in graph.nodes:
        _quantise_node(builder, node)
    return tuple(builder.ops.values())


def _quantise_node(b: _Builder, node: n.Node) -> None:
    if isinstance(node, n.Input):
        _input(b, node)
    elif isinstance(node, n.Embedding):
        _embedding(b, node)
    elif isinstance(node, n.Linear):
        _linear(b, node)
    elif isinstance(node, n.Affine):
        _affine(b, node)
    elif isinstance(node, n.SSM):
        _ssm(b, node)
    elif isinstance(node, n.Spike):
        spec = b.out(node.inputs[0])
        threshold = np.floor(np.ldexp(node.threshold, spec.exponent.astype(np.int32)))
        b.add(Spike(node.name, node.inputs, unchecked(2, 0, spec.channels), threshold))
    elif isinstance(node, n.PiecewiseLinear):
        _table(b, node)
    elif isinstance(node, n.Product):
        _product(b, node)
    elif isinstance(node, n.Add):
        spec = b.out(node.inputs[0])
        bits = b.options.widths.residual
        b.add(Add(node.name, node.inputs, unchecked(bits, spec.exponent, spec.channels)))
    elif isinstance(node, n.Mean):
        pass  # part of the Readout, which the decoder becomes
    else:
        raise UnsupportedError(
            f"{node.name}: the compiler has no integer form for a {type(node).__name__}"
        )


def _residual_exponent(graph: Graph, ranges: Ranges, options: CompileOptions) -> int:
    """Return the exponent all residual tensors share, so that they add without shifts."""
    largest = max(ranges.tensors[name].largest().max() for name in residual_names(graph))
    limit = value_limit(options.widths.residual)
    return int(fitting_exponent(np.array([largest]), limit)[0])


def residual_names(graph: Graph) -> tuple[str, ...]:
    """Return the tensors of the residual stream: what an Add reads directly or writes, and the end.

    The first input of an Add is what the block computed, the second the stream, or the other way
    round; both need the sum's exponent.
    """
    names: dict[str, None] = {}
    for node in graph.nodes:
        if isinstance(node, n.Add):
            names.update(dict.fromkeys((*node.inputs, node.name)))
        if isinstance(node, n.Mean):
            names[node.inputs[0]] = None
    return tuple(names)


def _input(b: _Builder, node: n.Input) -> None:
    channels = node.channels()
    if node.kind == "float":
        largest = np.array([max(abs(node.low), abs(node.high))])
        exponent = int(fitting_exponent(largest, value_limit(FLOAT_INPUT_BITS))[0])
        spec = unchecked(FLOAT_INPUT_BITS, exponent, channels)
    elif node.kind == "tokens":
        spec = unchecked(max(2, int(node.size).bit_length() + 1), 0, channels)
    else:
        spec = unchecked(9, 0, channels)
    b.add(Input(node.name, (), spec, node.kind, node.size, node.low, node.high))


def _embedding(b: _Builder, node: n.Embedding) -> None:
    limit = largest_mantissa(b.options.widths.weight)
    exponent = fitting_exponent(np.abs(node.weight).max(axis=0), limit)
    weight = to_mantissa(node.weight, exponent)
    raw = f"{node.name}.sum"
    b.add(
        Embedding(
            raw, node.inputs, unchecked(b.options.widths.weight, exponent, len(exponent)), weight
        )
    )
    _to_residual(b, node.name, raw, np.zeros(len(exponent)))


def _linear(b: _Builder, node: n.Linear) -> None:
    reader = b.graph[node.inputs[0]]
    if isinstance(reader, n.Mean):
        _readout(b, node, reader)
        return
    spec = b.out(node.inputs[0])
    limit = largest_mantissa(b.options.widths.weight)
    scale = fitting_exponent(np.abs(node.weight).max(axis=1), limit)
    weight = to_mantissa(node.weight, scale[:, None])
    raw = f"{node.name}.sum"
    exponent = scale + _uniform(node.name, spec.exponent)
    dense = Dense(raw, node.inputs, unchecked(b.accumulator_bits - 1, exponent, len(scale)), weight)
    refuse_wrap(b.add(dense))
    if node.name in residual_names(b.graph) or isinstance(reader, n.Input):
        _to_residual(b, node.name, raw, node.bias)
    else:
        _to_mix(b, node, raw)


def _uniform(name: str, exponent: IntArray) -> int:
    if (exponent != exponent[0]).any():
        raise UnsupportedError(f"{name}: sums over channels of different exponents")
    return int(exponent[0])


def _requantise(
    b: _Builder,
    name: str,
    source: str,
    exponent: IntArray,
    bits: int,
    scale: np.ndarray,
    shift: np.ndarray,
) -> None:
    """Add the Affine that computes `scale * source + shift` at new exponents."""
    have = b.out(source).exponent
    factor = np.ldexp(scale, (exponent - have).astype(np.int32))
    gain, right = gain_and_shift(factor, b.options.widths.gain)
    offset = to_mantissa(shift, exponent)
    b.add(Affine(name, (source,), unchecked(bits, exponent, len(exponent)), gain, right, offset))


def _to_residual(b: _Builder, name: str, source: str, bias: np.ndarray) -> None:
    exponent = np.full(len(bias), b.residual_exponent)
    _requantise(b, name, source, exponent, b.options.widths.residual, np.ones(len(bias)), bias)


def _to_mix(b: _Builder, node: n.Linear, raw: str) -> None:
    bits = b.options.widths.mix
    limit = value_limit(bits)
    exponent = fitting_exponent(_range(b, node.name).largest(), limit)
    readers = b.graph.readers(node.name)
    if any(isinstance(reader, (n.PiecewiseLinear,)) for reader in readers):
        exponent = np.full(len(exponent), min(int(exponent.min()), bits - 6))
    _requantise(b, node.name, raw, exponent, bits, np.ones(len(exponent)), node.bias)


def _range(b: _Builder, name: str) -> Range:
    return b.ranges.tensors[name]


def _affine(b: _Builder, node: n.Affine) -> None:
    if _private_to_ssm(b.graph, node):
        return  # made together with the SSM, whose states decide its exponent
    source = node.inputs[0]
    exponent = np.full(node.scale.size, b.residual_exponent)
    _requantise(b, node.name, source, exponent, b.options.widths.residual, node.scale, node.shift)


def _private_to_ssm(graph: Graph, node: n.Node) -> bool:
    """Tell an Affine that only an SSM reads: a prenorm, which sets the drive's exponents itself."""
    readers = graph.readers(node.name)
    return isinstance(node, n.Affine) and len(readers) == 1 and isinstance(readers[0], n.SSM)


def _ssm(b: _Builder, node: n.SSM) -> None:
    poles = prepare_poles(node, b.options)
    before = b.graph[node.inputs[0]]
    if isinstance(before, n.Affine) and _private_to_ssm(b.graph, before):
        name, source, scale, shift = before.name, before.inputs[0], before.scale, before.shift
    else:
        size = b.out(before.name).channels
        name, source, scale, shift = (
            f"{node.name}.drive",
            before.name,
            np.ones(size),
            np.zeros(size),
        )
    seen = _range(b, before.name)
    bits = b.options.widths.drive
    exponent = fitting_exponent(seen.largest(), value_limit(bits))
    peak = None if b.ranges.states is None else b.ranges.states[node.name]

    def in_input_units(exponents: IntArray) -> np.ndarray | None:
        return None if peak is None else np.ldexp(peak, exponents[:, None].astype(np.int32))

    largest = np.ldexp(seen.largest(), exponent.astype(np.int32)) + 1
    exponent = exponent - drive_deficit(poles, largest, in_input_units(exponent), b.options)
    _requantise(b, name, source, exponent, bits, scale, shift)
    neuron = quantise_ssm(
        _renamed(node, name),
        poles,
        b.out(name).interval,
        exponent,
        in_input_units(exponent),
        b.options,
        b.accumulator_bits,
    )
    b.add(neuron)


def _renamed(node: n.SSM, source: str) -> n.SSM:
    return replace(node, inputs=(source,))


def _table(b: _Builder, node: n.PiecewiseLinear) -> None:
    spec = b.out(node.inputs[0])
    x_exponent = _uniform(node.name, spec.exponent)
    bits = b.options.widths.mix
    limit = largest_mantissa(bits) - 1.0  # a table's values are known exactly, but for rounding
    exponent = int(fitting_exponent(_range(b, node.name).largest().max(keepdims=True), limit)[0])
    slope = to_mantissa(node.slope, SLOPE_EXPONENT)
    b.add(
        Table(
            node.name,
            node.inputs,
            unchecked(bits, exponent, spec.channels),
            int(to_mantissa(np.array([node.start]), x_exponent)[0]),
            x_exponent - node.width_log2,
            to_mantissa(node.base, exponent),
            slope,
            SLOPE_EXPONENT + x_exponent - exponent,
        )
    )


def _product(b: _Builder, node: n.Product) -> None:
    x, y = (b.out(name) for name in node.inputs)
    exponent = np.full(x.channels, b.residual_exponent)
    b.add(
        Product(
            node.name,
            node.inputs,
            unchecked(b.options.widths.residual, exponent, x.channels),
            x.exponent + y.exponent - exponent,
        )
    )


def _readout(b: _Builder, node: n.Linear, mean: n.Mean) -> None:
    spec = b.out(mean.inputs[0])
    x_exponent = _uniform(node.name, spec.exponent)
    limit = largest_mantissa(b.options.widths.decoder)
    scale = int(fitting_exponent(np.array([np.abs(node.weight).max()]), limit)[0])
    weight = to_mantissa(node.weight, scale)
    exponent = min(scale + x_exponent, MAX_EXPONENT)
    bias = to_mantissa(node.bias, scale + x_exponent)
    reach = np.abs(weight) @ spec.interval.largest() + np.abs(bias)
    spare = int(fitting_exponent(np.array([float(reach.max())]), value_limit(LOGIT_BITS))[0])
    shift = max(0, -spare)
    b.add(
        Readout(
            node.name,
            mean.inputs,
            unchecked(LOGIT_BITS, exponent - shift, len(bias)),
            weight,
            bias,
            shift,
            b.options.max_steps,
        )
    )
