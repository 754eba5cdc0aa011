"""How many bytes the numbers of an operation take, per channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import UnsupportedError
from neurossm.program import (
    SSM,
    Add,
    Affine,
    Dense,
    Embedding,
    LayerNorm,
    Op,
    Product,
    Program,
    Spike,
    Table,
    Ternary,
)


@dataclass(frozen=True)
class Variant:
    """Widths and sizes to place a program with instead of its own (None keeps them)."""

    state_bits: int | None = None
    weight_bits: int | None = None
    modes: int | None = None


AS_COMPILED = Variant()


def readout_sum_bits(program: Program) -> int:
    """Return the signed width of the readout's sum over `max_steps` steps."""
    reach = program[program.readout.inputs[0]].out.interval.largest()
    return int(reach.max()).bit_length() + (program.max_steps - 1).bit_length() + 1


def whole_bytes(bits: int) -> int:
    """Return the bytes that hold so many bits."""
    return -(-bits // 8)


def signed_bits(values: IntArray) -> int:
    """Return the width of the smallest signed integers that hold all values."""
    low, high = int(values.min()), int(values.max())
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1


def field_bytes(*fields: IntArray) -> int:
    """Return the bytes of one channel's number of each field, as wide as its largest."""
    return sum(whole_bytes(signed_bits(field)) for field in fields)


def fan_in(op: Op) -> int:
    """Return the source channels of a weighted sum."""
    assert isinstance(op, (Dense, Embedding))
    return op.weight.shape[1] if isinstance(op, Dense) else op.weight.shape[0]


def synops(op: Op) -> int:
    """Return the additions of one neuron when every source channel spikes."""
    return 1 if isinstance(op, Embedding) else fan_in(op)


def synapse_bytes(op: Op, variant: Variant) -> int:
    """Return the bytes of one neuron's weights in a weighted sum."""
    assert isinstance(op, (Dense, Embedding))
    weight = op.weight if isinstance(op, Dense) else op.weight.T
    return weights_bytes(weight, variant.weight_bits)


def weights_bytes(weight: IntArray, weight_bits: int | None) -> int:
    """Return the bytes of one row of a weight matrix, packed."""
    bits = signed_bits(weight)
    return whole_bytes(weight.shape[1] * (bits if weight_bits is None else min(bits, weight_bits)))


def resized(op: SSM, variant: Variant) -> SSM:
    """Return an SSM with fewer modes; only its sizes mean anything then."""
    if variant.modes is None or variant.modes >= op.modes:
        return op
    kept = {
        field: getattr(op, field)[:, : variant.modes]
        for field in ("a_re", "a_im", "pole_shift", "input_shift", "c_re", "c_im")
    }
    return replace(op, **kept)


def ssm_state_bytes(op: SSM, variant: Variant) -> int:
    """Return the bytes of one channel's complex states."""
    return 2 * op.modes * whole_bytes(variant.state_bits or op.state_bits)


@singledispatch
def parameter_bytes(op: Op) -> int:
    """Return the bytes of the parameters of one channel of an operation."""
    raise UnsupportedError(f"{op.name}: the memory of a {type(op).__name__} is not known")


@parameter_bytes.register(Affine)
@parameter_bytes.register(LayerNorm)
def _(op: Affine | LayerNorm) -> int:
    return field_bytes(op.gain, op.shift, op.offset)


@parameter_bytes.register
def _(op: SSM) -> int:
    """Take the real part of a pole as it is or as its distance from 1, whichever is narrower."""
    one = np.int64(1) << op.pole_shift
    distance = one - op.a_re
    a_re = np.where(np.abs(distance) < np.abs(op.a_re), distance, op.a_re)
    per_mode = field_bytes(a_re, op.a_im, op.pole_shift, op.input_shift, op.c_re, op.c_im)
    return op.modes * per_mode + field_bytes(op.readout_shift, op.d, op.d_shift)


@parameter_bytes.register(Spike)
@parameter_bytes.register(Ternary)
def _(op: Spike | Ternary) -> int:
    return field_bytes(op.threshold)


@parameter_bytes.register
def _(op: Product) -> int:
    return field_bytes(op.shift)


@parameter_bytes.register(Table)
@parameter_bytes.register(Add)
def _(op: Op) -> int:
    return 0


def table_bytes(op: Table) -> int:
    """Return the bytes of a table, which all channels share."""
    return op.base.size * field_bytes(op.base, op.slope)
