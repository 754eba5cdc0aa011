"""Integer forms of what works channel by channel: thresholds, tables, products, sums, norms."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.approximate import SLOPE_EXPONENT
from neurossm.compile.builder import Builder, uniform_exponent
from neurossm.compile.quantise_mixing import graded
from neurossm.compile.quantise_ssm import private_to_ssm
from neurossm.compile.scaling import (
    fitting_exponent,
    gain_and_shift,
    largest_mantissa,
    possible_shift,
    to_mantissa,
)
from neurossm.errors import UnsupportedError
from neurossm.graph import nodes as n
from neurossm.program import Add, LayerNorm, Op, Product, Spike, Table, Ternary, limits, unchecked
from neurossm.program.layernorm import NORMAL_EXPONENT
from neurossm.program.tensor import TensorSpec

_SPIKE_BITS = 2


def quantise_affine(node: n.Affine, b: Builder) -> None:
    """Append an Affine, unless it belongs to the SSM behind it, which decides its exponents."""
    if private_to_ssm(b.graph, node):
        return
    exponent, bits = b.format_of(node.name)
    exponents = np.full(node.scale.size, exponent)
    b.requantise(
        node.name,
        node.layer,
        node.inputs[0],
        exponents,
        bits,
        node.scale,
        node.shift,
        uniform=True,
    )


def quantise_spike(node: n.Spike, b: Builder) -> None:
    """Append the Spike: an integer exceeds a threshold if it exceeds it rounded down."""
    spec = b.out(node.inputs[0])
    out = unchecked(_SPIKE_BITS, 0, spec.channels)
    threshold = _threshold(node.threshold, spec)
    b.add(Spike(node.name, node.inputs, out, threshold, layer=node.layer))


def quantise_ternary(node: n.Ternary, b: Builder) -> None:
    """Append the Ternary.

    Raises
    ------
    UnsupportedError
        The threshold is still dynamic.
    """
    if node.threshold is None:
        raise UnsupportedError(
            f"{node.name}: a threshold that follows the largest activation has no integer form"
        )
    source = graded(b, node.inputs[0])
    spec = b.out(source)
    out = unchecked(_SPIKE_BITS, 0, spec.channels)
    threshold = _threshold(node.threshold, spec)
    b.add(Ternary(node.name, (source,), out, threshold, layer=node.layer))


def _threshold(threshold: FloatArray, spec: TensorSpec) -> IntArray:
    """Return thresholds rounded down, and within what the tensor can reach, or just beyond."""
    with np.errstate(over="ignore"):
        scaled = np.ldexp(threshold, spec.exponent.astype(np.int32))
    low, high = limits(spec.bits)
    rounded: IntArray = np.floor(np.clip(scaled, low - 1, high)).astype(np.int64)
    return rounded


def quantise_table(node: n.PiecewiseLinear, b: Builder) -> None:
    """Append the Table: the same lines, at the exponents of its input and output."""
    spec = b.out(node.inputs[0])
    x_exponent = uniform_exponent(node.name, spec.exponent)
    if node.name in b.stream:
        exponent, bits = b.residual_exponent, b.options.widths.residual
    else:
        bits = b.widths_for(node.layer).mix
        limit = largest_mantissa(bits) - 1.0  # its values are known exactly, but for rounding
        largest = b.range_of(node.name).largest().max(keepdims=True)
        exponent = int(fitting_exponent(largest, limit)[0])

    def make(exponents: IntArray) -> Op:
        out = int(exponents.min())
        return Table(
            node.name,
            node.inputs,
            unchecked(bits, out, spec.channels),
            int(to_mantissa(np.array([node.start]), x_exponent)[0]),
            x_exponent - node.width_log2,
            to_mantissa(node.base, out),
            to_mantissa(node.slope, SLOPE_EXPONENT),
            int(possible_shift(np.array(SLOPE_EXPONENT + x_exponent - out))),
            layer=node.layer,
        )

    exponents = np.full(spec.channels, exponent)
    if node.name in b.stream:
        b.add(make(exponents))
    else:
        b.add_fitting(make, exponents)


def quantise_product(node: n.Product, b: Builder) -> None:
    """Append the Product, shifted to the exponent of its result."""
    x, y = (b.out(name) for name in node.inputs)
    exponent, bits = b.format_of(node.name)

    def make(exponents: IntArray) -> Op:
        out = unchecked(bits, exponents.min(), x.channels)
        shift = possible_shift(x.exponent + y.exponent - exponents.min())
        return Product(node.name, node.inputs, out, shift, layer=node.layer)

    exponents = np.full(x.channels, exponent)
    if node.name in b.stream:
        b.add(make(exponents))
    else:
        b.add_fitting(make, exponents)


def quantise_add(node: n.Add, b: Builder) -> None:
    """Append the Add; both inputs have the stream's exponent.

    Raises
    ------
    UnsupportedError
        One of them is something that never gets it: the data, spikes, an SSM's output.
    """
    spec = b.out(node.inputs[0])
    for name in node.inputs:
        if (b.out(name).exponent != b.residual_exponent).any():
            raise UnsupportedError(
                f"{node.name}: adds {name!r}, a {type(b.graph[name]).__name__}, to the residual "
                "stream; the compiler has no integer form for that"
            )
    out = unchecked(b.options.widths.residual, spec.exponent, spec.channels)
    b.add(Add(node.name, node.inputs, out, layer=node.layer))


def quantise_layer_norm(node: n.LayerNorm, b: Builder) -> None:
    """Append the LayerNorm.

    The integers n stand for deviation / sqrt(sum of squares); the factor sqrt(H) that makes them
    standard deviations goes into the gain.
    """
    x_exponent = uniform_exponent(node.name, b.out(node.inputs[0]).exponent)
    channels = node.gain.size
    exponent, bits = b.format_of(node.name)
    eps = np.floor(node.eps * channels**3 * 4.0**x_exponent + 0.5)

    def make(exponents: IntArray) -> Op:
        out = int(exponents.min())
        factor = node.gain * np.sqrt(channels) * 2.0 ** (out - NORMAL_EXPONENT)
        gain, shift = gain_and_shift(factor, b.widths_for(node.layer).gain)
        offset = to_mantissa(node.bias, out)
        spec = unchecked(bits, out, channels)
        fields = (spec, gain, shift, offset, int(eps))
        return LayerNorm(node.name, node.inputs, *fields, layer=node.layer)

    exponents = np.full(channels, exponent)
    if node.name in b.stream:
        b.add(make(exponents))
    else:
        b.add_fitting(make, exponents)
