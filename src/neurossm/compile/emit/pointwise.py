"""What works channel by channel: thresholds, tables, products, sums, norms."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.approximate import SLOPE_EXPONENT
from neurossm.compile.emit.builder import Builder, uniform_exponent
from neurossm.compile.formats import Format, private_to_ssm
from neurossm.compile.rules import Need, emits
from neurossm.compile.scaling import gain_and_shift, possible_shift, to_mantissa
from neurossm.graph import nodes as n
from neurossm.program import (
    Add,
    LayerNorm,
    Op,
    PeakTernary,
    Product,
    Relu,
    Spike,
    Table,
    Ternary,
    limits,
    unchecked,
)
from neurossm.program.layernorm import NORMAL_EXPONENT
from neurossm.program.tensor import TensorSpec

SPIKE_BITS = 2


@emits(n.AffineNode, uses=("gain",))
def emit_affine(node: n.AffineNode, b: Builder) -> None:
    """Append an Affine, unless it belongs to the SSM behind it, which appends it."""
    if not private_to_ssm(b.graph, node):
        b.rescale(node, b.read(node, 0), node.scale, node.shift)


@emits(n.SpikeNode, fixed=True)
def emit_spike(node: n.SpikeNode, b: Builder) -> None:
    """Append the Spike: an integer exceeds a threshold if it exceeds it rounded down."""
    source = b.read(node, 0)
    spec = b.out(source)
    threshold = integer_threshold(node.threshold, spec)
    out = unchecked(SPIKE_BITS, 0, spec.channels)
    b.add(Spike(node.name, (source,), out, threshold, layer=node.layer))


@emits(n.TernaryNode, Need.UNIFORM, fixed=True, uses=("gain",))
def emit_ternary(node: n.TernaryNode, b: Builder) -> None:
    """Append the Ternary, or the PeakTernary where the threshold follows the largest activation.

    The latter compares channels with each other, which takes one exponent.
    """
    source = b.read(node, 0)
    spec = b.out(source)
    out = unchecked(SPIKE_BITS, 0, spec.channels)
    if node.threshold is not None:
        threshold = integer_threshold(node.threshold, spec)
        b.add(Ternary(node.name, (source,), out, threshold, layer=node.layer))
        return
    uniform_exponent(node.name, spec.exponent)
    factor, shift = integer_factor(node.factor, b.widths_for(node.layer).gain)
    b.add(PeakTernary(node.name, (source,), out, factor, shift, layer=node.layer))


def integer_factor(factor: float, bits: int) -> tuple[int, int]:
    """Return `m, k` with `m 2**-k` nearest to a factor, m of so many bits; of 1 and more, 1.

    A share of 1 or more of the largest magnitude is exceeded by none.
    """
    gain, shift = gain_and_shift(np.array([min(factor, 1.0)]), bits)
    return int(gain[0]), int(shift[0])


def integer_threshold(threshold: FloatArray, spec: TensorSpec) -> IntArray:
    """Return thresholds rounded down, and within what the tensor can reach, or just beyond."""
    with np.errstate(over="ignore"):
        scaled = np.ldexp(threshold, spec.exponent.astype(np.int32))
    low, high = limits(spec.bits)
    rounded: IntArray = np.floor(np.clip(scaled, low - 1, high)).astype(np.int64)
    return rounded


@emits(n.PiecewiseLinearNode, Need.TABULATED, width="mix", uses=("mix",))
def emit_table(node: n.PiecewiseLinearNode, b: Builder) -> None:
    """Append the Table: the same lines, at the exponents of its input and output."""
    source = b.read(node, 0)
    spec = b.out(source)
    x_exponent = uniform_exponent(node.name, spec.exponent)

    def make(format_: Format) -> Op:
        out = int(format_.exponent[0])
        return Table(
            node.name,
            (source,),
            unchecked(format_.bits, out, spec.channels),
            int(to_mantissa(np.array([node.start]), x_exponent)[0]),
            x_exponent - node.width_log2,
            to_mantissa(node.base, out),
            to_mantissa(node.slope, SLOPE_EXPONENT),
            int(possible_shift(np.array(SLOPE_EXPONENT + x_exponent - out))),
            layer=node.layer,
        )

    b.add_at(node, make)


@emits(n.ReLUNode)
def emit_relu(node: n.ReLUNode, b: Builder) -> None:
    """Append the Relu, shifted to the exponent of its result."""
    source = b.read(node, 0)
    x = b.out(source)

    def make(format_: Format) -> Op:
        out = unchecked(format_.bits, format_.exponent, x.channels)
        shift = possible_shift(x.exponent - format_.exponent)
        return Relu(node.name, (source,), out, shift, layer=node.layer)

    b.add_at(node, make)


@emits(n.ProductNode)
def emit_product(node: n.ProductNode, b: Builder) -> None:
    """Append the Product, shifted to the exponent of its result."""
    sources = b.read(node, 0), b.read(node, 1)
    x, y = (b.out(name) for name in sources)

    def make(format_: Format) -> Op:
        out = unchecked(format_.bits, format_.exponent, x.channels)
        shift = possible_shift(x.exponent + y.exponent - format_.exponent)
        return Product(node.name, sources, out, shift, layer=node.layer)

    b.add_at(node, make)


@emits(n.AddNode, Need.ADDED)
def emit_add(node: n.AddNode, b: Builder) -> None:
    """Append the Add; both inputs and the sum have the stream's exponent."""
    sources = b.read(node, 0), b.read(node, 1)

    def make(format_: Format) -> Op:
        out = unchecked(format_.bits, format_.exponent, len(format_.exponent))
        return Add(node.name, sources, out, layer=node.layer)

    b.add_at(node, make)


@emits(n.LayerNormNode, Need.UNIFORM, uses=("gain",))
def emit_layer_norm(node: n.LayerNormNode, b: Builder) -> None:
    """Append the LayerNorm.

    The integers n stand for deviation / sqrt(sum of squares); the factor sqrt(H) that makes them
    standard deviations goes into the gain.
    """
    source = b.read(node, 0)
    x_exponent = uniform_exponent(node.name, b.out(source).exponent)
    channels = node.gain.size
    eps = np.floor(node.eps * channels**3 * 4.0**x_exponent + 0.5)

    def make(format_: Format) -> Op:
        out = int(format_.exponent[0])
        factor = node.gain * np.sqrt(channels) * 2.0 ** (out - NORMAL_EXPONENT)
        gain, shift = gain_and_shift(factor, b.widths_for(node.layer).gain)
        spec = unchecked(format_.bits, out, channels)
        fields = (spec, gain, shift, to_mantissa(node.bias, out), int(eps))
        return LayerNorm(node.name, (source,), *fields, layer=node.layer)

    b.add_at(node, make)
