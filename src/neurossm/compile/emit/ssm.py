"""An SSM and its drive: the Affine that brings its input to it, and the integer SSM neuron."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.emit.builder import Builder
from neurossm.compile.formats import in_drive_units, private_to_ssm
from neurossm.compile.options import Widths
from neurossm.compile.poles import Poles, input_shift
from neurossm.compile.rules import emits
from neurossm.compile.scaling import (
    MAX_EXPONENT,
    fitting_exponent,
    largest_mantissa,
    to_mantissa,
)
from neurossm.errors import LimitError
from neurossm.graph import nodes as n
from neurossm.naming import part_of
from neurossm.program import SSM, Interval, unchecked
from neurossm.program.tensor import TensorSpec

_FINEST = 400
"""Largest exponent of C and D."""


@emits(n.SSMNode, fixed=True, uses=("pole", "readout", "state", "drive", "gain"))
def emit_ssm(node: n.SSMNode, b: Builder) -> None:
    """Append the Affine that drives an SSM, its prenorm where there is one, and the SSM."""
    widths, poles = b.widths_for(node.layer), b.poles[node.name]
    before = b.graph[node.inputs[0]]
    wanted = b.formats.drive[node.name]
    if isinstance(before, n.AffineNode) and private_to_ssm(b.graph, before):
        name, layer, source = before.name, before.layer, b.read(before, 0)
        scale, shift = before.scale, before.shift
    else:
        name, layer, source = part_of(node.name, "drive"), node.layer, b.read(node, 0)
        scale, shift = np.ones(len(node.D)), np.zeros(len(node.D))
    drive = b.requantise(name, layer, source, wanted, scale, shift).out
    peak = in_drive_units(b.ranges, node, drive.exponent)
    reading = replace(node, inputs=(name,))
    b.add(integer_ssm(reading, poles, drive, peak, widths, b.accumulator_bits))


def integer_ssm(
    node: n.SSMNode,
    poles: Poles,
    drive: TensorSpec,
    state_peak: FloatArray | None,
    widths: Widths,
    accumulator_bits: int,
) -> SSM:
    """Return the integer SSM for the integers of `drive`.

    The readout's products share one exponent per channel, chosen so that the largest coefficient
    fills its width; `readout_shift` is the smallest that keeps the sum within the accumulator.
    The output's sign is that of the float output: exponents differ by channel.

    Raises
    ------
    LimitError
        The states are too narrow for any input.
    """
    u = drive.interval
    shift = input_shift(poles, u.largest().astype(np.float64), state_peak, widths.state)
    if (shift < -poles.shift).any():
        raise LimitError(
            f"{node.name}: states of {widths.state} bits cannot hold the sum of any input; "
            "use wider states or a smaller pole margin"
        )
    shift = np.minimum(shift, MAX_EXPONENT - poles.shift)
    widest = largest_mantissa(widths.readout)
    unit = np.exp2(-shift.astype(np.float64))  # a state integer in units of the input's integers
    wanted = poles.C * unit
    peak = np.maximum(np.abs(wanted.real), np.abs(wanted.imag)).max(axis=1)
    # Only the sign of y need be right, so that the smallest C and D may fill their widths.
    d_exponent = fitting_exponent(node.D, widest, at_most=_FINEST)
    # Exponents (H) of c for states in input units; a dominant D keeps them from growing past it.
    exponent = np.minimum(fitting_exponent(peak, widest, at_most=_FINEST), d_exponent + 16)
    c_re, c_im = (to_mantissa(part, exponent[:, None]) for part in (wanted.real, wanted.imag))
    d_exponent = np.minimum(d_exponent, exponent + 24)
    d = to_mantissa(node.D, d_exponent)
    draft = SSM(
        node.name,
        node.inputs,
        unchecked(62, 0, len(c_re)),
        poles.a_re,
        poles.a_im,
        poles.shift,
        shift,
        c_re,
        c_im,
        np.zeros(len(c_re), np.int64),
        d,
        np.where(d == 0, 0, d_exponent - exponent),
        widths.state,
        layer=node.layer,
    )
    return _fit_accumulator(draft, u, drive.exponent + exponent, d_exponent, accumulator_bits)


def _fit_accumulator(
    draft: SSM, u: Interval, exponent: IntArray, d_exponent: IntArray, bits: int
) -> SSM:
    """Shift the products of each channel right until the sum's proved bound fits."""
    limit = largest_mantissa(bits)
    over = draft.bounds(u).largest() / limit
    m = np.ceil(np.log2(np.maximum(over, 1.0))).astype(np.int64)
    d_shift = draft.d_shift
    while True:
        op = replace(
            draft,
            out=unchecked(bits, exponent - m, len(m)),
            readout_shift=m,
            d_shift=np.where(draft.d == 0, 0, d_shift + m),
        )
        exceeds = op.bounds(u).largest() > limit
        if not exceeds.any():
            return op
        m = m + exceeds
