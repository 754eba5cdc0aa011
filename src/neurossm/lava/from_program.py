"""Integer programs as primitives, with what Lava's `Dense` cannot do refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurossm import program as ops
from neurossm.errors import LimitError, UnsupportedError
from neurossm.lava.parameters import (
    Decoder,
    Modes,
    Normalise,
    Product,
    Rescale,
    Segments,
    Sum,
    Ternary,
)
from neurossm.lava.primitives import Primitive, Primitives, Rows, Source, Threshold, Unit, Weights

__all__ = ["ACCUMULATOR_BITS", "from_program", "integer_modes_of"]

MANTISSA_BITS = 8
"""Width of the weights that Lava's `Dense` keeps exactly (see `network.dense`)."""
ACCUMULATOR_BITS = 32


def from_program(program: ops.Program) -> Primitives:
    """Turn an integer program into primitives.

    Raises
    ------
    UnsupportedError
        An operation has no Lava process.
    LimitError
        A weight is wider than Dense's mantissa, a sum could wrap its accumulator, or an integer
        does not fit a message.
    """
    return Primitives([_primitive(program, op) for op in program.ops])


def _primitive(program: ops.Program, op: ops.Op) -> Primitive:
    if isinstance(op, ops.Dense):
        unit: Unit = _weights(program, op)
    else:
        convert = _CONVERSIONS.get(type(op))
        if convert is None:
            raise UnsupportedError(
                f"{op.name}: Lava has no process for {type(op).__name__}; "
                "run the program on another engine"
            )
        unit = convert(op)
    return Primitive(op.name, op.inputs, unit, op.out.channels, op.out.bits)


def _weights(program: ops.Program, op: ops.Dense) -> Weights:
    source = program[op.inputs[0]]
    low, high = -(1 << (MANTISSA_BITS - 1)), (1 << (MANTISSA_BITS - 1)) - 1
    if op.weight.min() < low or op.weight.max() > high:
        worst = op.weight.flat[np.abs(op.weight).argmax()]
        raise LimitError(
            f"{op.name}: weight {worst} does not fit the {MANTISSA_BITS} bits of Lava's Dense, "
            f"[{low}, {high}]; compile with 8-bit weights"
        )
    # Dense sums twice the mantissas in int32 and wraps without a word.
    reach = 2 * (np.abs(op.weight) @ source.out.interval.largest()).max()
    if reach >= 1 << (ACCUMULATOR_BITS - 1):
        raise LimitError(
            f"{op.name}: sums can reach {reach}, which wraps Lava's {ACCUMULATOR_BITS}-bit "
            f"accumulator; give {source.name} fewer bits"
        )
    binary = isinstance(source, ops.Spike)
    return Weights(op.weight, message_bits=0 if binary else source.out.bits)


def integer_modes_of(op: ops.SSM) -> Modes:
    """Return the parameters of a program's SSM."""
    return Modes(
        a_re=op.a_re,
        a_im=op.a_im,
        c_re=op.c_re,
        c_im=op.c_im,
        d=op.d,
        pole_shift=op.pole_shift,
        input_shift=op.input_shift,
        readout_shift=op.readout_shift,
        d_shift=op.d_shift,
        state_bits=op.state_bits,
        bits=op.out.bits,
    )


_CONVERSIONS: dict[type[ops.Op], Callable[[Any], Unit]] = {
    ops.Input: lambda op: Source(op.out.bits),
    ops.Embedding: lambda op: Rows(op.weight),
    ops.Affine: lambda op: Rescale(op.gain, op.shift, op.offset, op.out.bits),
    ops.SSM: integer_modes_of,
    ops.Spike: lambda op: Threshold(op.threshold),
    ops.Ternary: lambda op: Ternary(op.threshold),
    ops.LayerNorm: lambda op: Normalise(op.gain, op.shift, op.offset, op.eps, op.out.bits),
    ops.Table: lambda op: Segments(
        op.origin, op.width, op.base, op.slope, op.slope_shift, op.out.bits
    ),
    ops.Product: lambda op: Product(op.shift, op.out.bits),
    ops.Add: lambda op: Sum(op.out.bits),
    ops.Readout: lambda op: Decoder(op.weight, op.bias, op.shift, op.out.bits),
}
