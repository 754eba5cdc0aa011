"""What combines channels: input, encoder, mixing, decoder."""

from __future__ import annotations

import numpy as np

from neurossm.compile.emit.builder import Builder, uniform_exponent
from neurossm.compile.formats import is_scaled
from neurossm.compile.rounding import quantise_weights
from neurossm.compile.rules import Need, emits
from neurossm.compile.scaling import (
    fitting_exponent,
    largest_mantissa,
    to_mantissa,
    value_limit,
)
from neurossm.graph import nodes as n
from neurossm.naming import part_of
from neurossm.program import READOUTS, Dense, Embedding, Input, unchecked
from neurossm.program.certificate import refuse_wrap

FLOAT_INPUT_BITS = 16
LOGIT_BITS = 32


@emits(n.InputNode, fixed=True)
def emit_input(node: n.InputNode, b: Builder) -> None:
    """Append the Input: bytes, counts and tokens as they are, floats rounded to 16 bits.

    An Affine follows where the data stand for a multiple of themselves.
    """
    channels = node.channels()
    if node.kind == "float":
        largest = np.array([max(abs(node.low), abs(node.high))])
        exponent = int(fitting_exponent(largest, value_limit(FLOAT_INPUT_BITS))[0])
        spec = unchecked(FLOAT_INPUT_BITS, exponent, channels)
    elif node.kind == "tokens":
        spec = unchecked(max(2, int(node.size).bit_length() + 1), 0, channels)
    elif node.kind == "counts":
        spec = unchecked(int(node.high).bit_length() + 1, 0, channels)
    else:
        spec = unchecked(9, 0, channels)
    name = part_of(node.name, "data") if is_scaled(node) else node.name
    b.add(Input(name, (), spec, node.kind, node.size, node.low, node.high, layer=node.layer))
    if is_scaled(node):
        b.rescale(node, name, np.full(channels, node.scale), np.zeros(channels))


@emits(n.EmbeddingNode, uses=("weight", "gain"))
def emit_embedding(node: n.EmbeddingNode, b: Builder) -> None:
    """Append the Embedding and the Affine that brings it to its format."""
    bits = b.widths_for(node.layer).weight
    weight, scale = quantise_weights(node.weight.T, bits, b.options.row_scale)
    raw = part_of(node.name, "sum")
    spec = unchecked(bits, 0, len(scale))
    b.add(Embedding(raw, (b.read(node, 0),), spec, weight.T, layer=node.layer))
    b.rescale(node, raw, scale, np.zeros(len(scale)))


@emits(n.LinearNode, Need.SUMMED, width="mix", uses=("weight", "gain"))
def emit_linear(node: n.LinearNode, b: Builder) -> None:
    """Append the Dense, and the Affine that adds the bias; the decoder becomes the Readout."""
    before = b.graph[node.inputs[0]]
    if isinstance(before, n.PoolNode):
        _readout(node, before, b)
        return
    source = b.read(node, 0)
    exponent = uniform_exponent(node.name, b.out(source).exponent)
    weights = b.weights[node.name]
    raw = node.name in b.formats.raw
    name = node.name if raw else part_of(node.name, "sum")
    # Lava's Dense holds twice the weights.
    spec = unchecked(b.accumulator_bits - 1, exponent, len(weights.integers))
    refuse_wrap(b.add(Dense(name, (source,), spec, weights.integers, layer=node.layer)))
    if not raw:
        b.rescale(node, name, weights.unit, weights.bias)


@emits(n.MeanNode, Need.AVERAGED, fixed=True)
@emits(n.LastNode, Need.AVERAGED, fixed=True)
@emits(n.MaxNode, Need.AVERAGED, fixed=True)
@emits(n.EachNode, Need.AVERAGED, fixed=True)
def emit_pool(node: n.PoolNode, b: Builder) -> None:
    """Append nothing: the pool is part of the Readout, which the decoder becomes."""


def _readout(node: n.LinearNode, pool: n.PoolNode, b: Builder) -> None:
    source = b.read(pool, 0)
    kind = READOUTS[pool.pool]
    spec = b.out(source)
    x_exponent = uniform_exponent(node.name, spec.exponent)
    limit = largest_mantissa(b.widths_for(node.layer).decoder)
    scale = int(fitting_exponent(np.abs(node.weight).max(keepdims=True)[0], limit)[0])
    # Beside a large bias small weights lose bits that the logits would not show.
    for_bias = fitting_exponent(np.abs(node.bias).max(keepdims=True), 2.0 ** (LOGIT_BITS + 4))
    scale = min(scale, int(for_bias[0]) - x_exponent)
    # What is decoded, the sum of the longest sample or one step, must fit 62 bits when doubled.
    total = np.abs(node.weight) @ spec.interval.largest() + np.ldexp(np.abs(node.bias), x_exponent)
    summed = b.options.max_steps if kind.pool == "mean" else 1
    scale = min(scale, int(fitting_exponent(total, 2.0**60 / summed).min()))
    weight = to_mantissa(node.weight, scale)
    exponent = scale + x_exponent
    bias = to_mantissa(node.bias, exponent)
    reach = np.abs(weight) @ spec.interval.largest() + np.abs(bias)
    spare = int(fitting_exponent(np.array([float(reach.max())]), value_limit(LOGIT_BITS))[0])
    shift = max(0, -spare)
    out = unchecked(LOGIT_BITS, exponent - shift, len(bias))
    steps = b.options.max_steps
    b.add(kind(node.name, (source,), out, weight, bias, shift, steps, layer=node.layer))
