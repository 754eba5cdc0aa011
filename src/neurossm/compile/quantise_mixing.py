"""Integer forms of what combines channels: input, encoder, mixing, decoder."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.builder import Builder, uniform_exponent
from neurossm.compile.rounding import InputStatistics, corrected_bias, round_adjusted
from neurossm.compile.scaling import (
    fitting_exponent,
    largest_mantissa,
    to_mantissa,
    value_limit,
)
from neurossm.graph import nodes as n
from neurossm.naming import part_of
from neurossm.program import Dense, Embedding, Input, Readout, unchecked
from neurossm.program.certificate import refuse_wrap

FLOAT_INPUT_BITS = 16
LOGIT_BITS = 32


def quantise_input(node: n.Input, b: Builder) -> None:
    """Append the Input: bytes and tokens as they are, floats rounded to 16 bits."""
    channels = node.channels()
    if node.kind == "float":
        largest = np.array([max(abs(node.low), abs(node.high))])
        exponent = int(fitting_exponent(largest, value_limit(FLOAT_INPUT_BITS))[0])
        spec = unchecked(FLOAT_INPUT_BITS, exponent, channels)
    elif node.kind == "tokens":
        spec = unchecked(max(2, int(node.size).bit_length() + 1), 0, channels)
    else:
        spec = unchecked(9, 0, channels)
    b.add(Input(node.name, (), spec, node.kind, node.size, node.low, node.high, layer=node.layer))


def quantise_embedding(node: n.Embedding, b: Builder) -> None:
    """Append the Embedding and the Affine that brings it to the residual stream."""
    bits = b.widths_for(node.layer).weight
    weight, scale = quantise_weights(node.weight.T, bits, b.options.row_scale)
    raw = part_of(node.name, "sum")
    spec = unchecked(bits, 0, len(scale))
    b.add(Embedding(raw, node.inputs, spec, weight.T, layer=node.layer))
    _to_stream(b, node, raw, scale, np.zeros(len(scale)))


def quantise_linear(node: n.Linear, b: Builder) -> None:
    """Append the Dense, and the Affine that adds the bias; the decoder becomes the Readout."""
    reader = b.graph[node.inputs[0]]
    if isinstance(reader, n.Mean):
        _readout(node, reader, b)
        return
    source = graded(b, node.inputs[0])
    exponent = uniform_exponent(node.name, b.out(source).exponent)
    bits = b.accumulator_bits - 1  # Lava's Dense holds twice the weights
    if isinstance(reader, n.SSM) and is_ternary(node):
        # Small integers and no bias: the product that reads the sum takes it as it is.
        spec = unchecked(bits, exponent, len(node.weight))
        weight = to_mantissa(node.weight, 0)
        refuse_wrap(b.add(Dense(node.name, (source,), spec, weight, layer=node.layer)))
        return
    weight, scale, bias = _rounded(node, b)
    raw = part_of(node.name, "sum")
    spec = unchecked(bits, exponent, len(scale))
    refuse_wrap(b.add(Dense(raw, (source,), spec, weight, layer=node.layer)))
    if node.name in b.stream or isinstance(reader, n.Input):
        _to_stream(b, node, raw, scale, bias)
        return
    mix = b.widths_for(node.layer).mix
    wanted = fitting_exponent(b.range_of(node.name).largest(), value_limit(mix))
    uniform = b.feeds_table(node.name)
    if uniform:
        for_table, mix = b.table_input_format(node.name)
        wanted = np.full(len(wanted), for_table)
    b.requantise(node.name, node.layer, raw, wanted, mix, scale, bias, uniform=uniform)


def _rounded(node: n.Linear, b: Builder) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return integer weights (O, I), their rows' units (O), and the bias that goes with them."""
    bits = b.widths_for(node.layer).weight
    seen = b.statistics.get(node.name)
    if seen is None:
        return *quantise_weights(node.weight, bits, b.options.row_scale), node.bias
    return b.recall(
        ("weights", node.name, bits), lambda: _adjusted(node, bits, b.options.row_scale, seen)
    )


def _adjusted(
    node: n.Linear, bits: int, row_scale: str, seen: InputStatistics
) -> tuple[IntArray, FloatArray, FloatArray]:
    unit = row_units(node.weight, bits, row_scale)
    limit = largest_mantissa(bits)
    weight = round_adjusted(node.weight / unit[:, None], seen.covariance, limit)
    bias = corrected_bias(node.bias, node.weight, weight * unit[:, None], seen.mean)
    return weight, unit, bias


def quantise_weights(weight: FloatArray, bits: int, row_scale: str) -> tuple[IntArray, FloatArray]:
    """Return integer weights (O, I), rounded to nearest, and their rows' units (O)."""
    unit = row_units(weight, bits, row_scale)
    return to_mantissa(weight / unit[:, None], 0), unit


def row_units(weight: FloatArray, bits: int, row_scale: str) -> FloatArray:
    """Return what one unit of each row of integer weights stands for, (O).

    A row's unit is a power of two ("power-of-two": undone by a shift), or whatever makes its
    largest weight fill the width ("full": undone by the factor of the Affine behind it).
    """
    limit = largest_mantissa(bits)
    largest = np.abs(weight).max(axis=1)
    if row_scale == "full":
        return np.where(largest > 0, largest / limit, 1.0)
    return np.exp2(-fitting_exponent(largest, limit).astype(np.float64))


def is_ternary(node: n.Linear) -> bool:
    """Tell weights of -1, 0 and 1 without a bias: sums of graded values, as in a GSU."""
    return bool(np.isin(node.weight, (-1.0, 0.0, 1.0)).all() and not node.bias.any())


def graded(b: Builder, name: str) -> str:
    """Return the tensor that stands for `name` where channels are combined.

    An SSM's output has an exponent per channel; summing over channels needs one for all, which an
    Affine brings about, once, in the width of a graded message.
    """
    node = b.graph[name]
    if not isinstance(node, n.SSM):
        return name
    if name not in b.graded:
        bits = b.widths_for(node.layer).graded
        largest = b.range_of(name).largest().max(keepdims=True)
        exponent = int(fitting_exponent(largest, value_limit(bits))[0])
        exponent = min(exponent, int(b.out(name).exponent.min()))
        size = b.out(name).channels
        ones, zeros = np.ones(size), np.zeros(size)
        result = part_of(name, "graded")
        exponents = np.full(size, exponent)
        b.requantise(result, node.layer, name, exponents, bits, ones, zeros, uniform=True)
        b.graded[name] = result
    return b.graded[name]


def _to_stream(b: Builder, node: n.Node, source: str, scale: FloatArray, bias: FloatArray) -> None:
    exponent = np.full(len(bias), b.residual_exponent)
    b.requantise(
        node.name,
        node.layer,
        source,
        exponent,
        b.options.widths.residual,
        scale,
        bias,
        uniform=True,
    )


def _readout(node: n.Linear, mean: n.Mean, b: Builder) -> None:
    spec = b.out(mean.inputs[0])
    x_exponent = uniform_exponent(node.name, spec.exponent)
    limit = largest_mantissa(b.widths_for(node.layer).decoder)
    scale = int(fitting_exponent(np.abs(node.weight).max(keepdims=True)[0], limit)[0])
    # Beside a large bias small weights lose bits that the logits would not show.
    for_bias = fitting_exponent(np.abs(node.bias).max(keepdims=True), 2.0 ** (LOGIT_BITS + 4))
    scale = min(scale, int(for_bias[0]) - x_exponent)
    # The decoded sum of the longest sample, doubled to round it, must fit 62 bits.
    total = np.abs(node.weight) @ spec.interval.largest() + np.ldexp(np.abs(node.bias), x_exponent)
    scale = min(scale, int(fitting_exponent(total, 2.0**60 / b.options.max_steps).min()))
    weight = to_mantissa(node.weight, scale)
    exponent = scale + x_exponent
    bias = to_mantissa(node.bias, exponent)
    reach = np.abs(weight) @ spec.interval.largest() + np.abs(bias)
    spare = int(fitting_exponent(np.array([float(reach.max())]), value_limit(LOGIT_BITS))[0])
    shift = max(0, -spare)
    out = unchecked(LOGIT_BITS, exponent - shift, len(bias))
    steps = b.options.max_steps
    b.add(Readout(node.name, mean.inputs, out, weight, bias, shift, steps, layer=node.layer))
