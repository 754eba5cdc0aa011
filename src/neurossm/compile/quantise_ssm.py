"""Turn a float SSM and its input scaling into an integer SSM neuron."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray, IntArray
from neurossm.compile.builder import Builder
from neurossm.compile.options import Widths
from neurossm.compile.poles import quantise_poles, refit_residues
from neurossm.compile.scaling import (
    MAX_EXPONENT,
    fitting_exponent,
    largest_mantissa,
    to_mantissa,
    value_limit,
)
from neurossm.errors import LimitError
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.naming import part_of
from neurossm.program import SSM, Interval, unchecked
from neurossm.program.pole_series import PoleSeries, pole_series
from neurossm.program.tensor import TensorSpec

_FINEST = 400
"""Largest exponent of C and D."""


def quantise_ssm(node: n.SSM, b: Builder) -> None:
    """Append the Affine that drives an SSM, and the SSM.

    The drive has the largest exponents (per channel) that its width and the states allow.
    """
    widths = b.widths_for(node.layer)
    margin = b.options.pole_margin_log2
    poles = b.recall(
        ("poles", node.name, widths.pole), lambda: prepare_poles(node, widths.pole, margin)
    )
    if b.proving:
        _check_rounding(node.name, poles, widths.state)
    before = b.graph[node.inputs[0]]
    if isinstance(before, n.Affine) and private_to_ssm(b.graph, before):
        name, source, scale, shift = before.name, before.inputs[0], before.scale, before.shift
        layer = before.layer
    else:
        size = b.out(before.name).channels
        name, source = part_of(node.name, "drive"), before.name
        scale, shift = np.ones(size), np.zeros(size)
        layer = node.layer
    seen = b.range_of(before.name)
    bits = widths.drive
    exponent = fitting_exponent(seen.largest(), value_limit(bits))
    peak = None if b.ranges.states is None else b.ranges.states[node.name]
    largest = np.ldexp(seen.largest(), exponent.astype(np.int32)).astype(np.float64) + 1
    exponent -= drive_deficit(poles, largest, _in_drive_units(peak, exponent), widths.state)
    drive = b.requantise(name, layer, source, exponent, bits, scale, shift).out
    peak = _in_drive_units(peak, drive.exponent)
    reading = replace(node, inputs=(name,))
    b.add(integer_ssm(reading, poles, drive, peak, widths, b.accumulator_bits))


def _check_rounding(name: str, poles: Poles, state_bits: int) -> None:
    """Refuse states that the rounding errors alone could fill, before any input."""
    drift = _drift(poles)
    limit = largest_mantissa(state_bits) - 1
    if drift.max() >= limit:
        h, m = np.unravel_index(int(drift.argmax()), drift.shape)
        needed = int(np.ceil(np.log2(drift.max() + 2))) + 2
        raise LimitError(
            f"{name}: states of {state_bits} bits cannot be proved: in channel {h}, mode "
            f"{m} rounding alone can add up to {drift.max():.0f} of {limit}; use at least {needed} "
            "bits, a smaller pole margin, or calibrated scaling"
        )


def private_to_ssm(graph: Graph, node: n.Node) -> bool:
    """Tell an Affine that only an SSM reads: a prenorm."""
    readers = graph.readers(node.name)
    return isinstance(node, n.Affine) and len(readers) == 1 and isinstance(readers[0], n.SSM)


def _in_drive_units(peak: FloatArray | None, exponent: IntArray) -> FloatArray | None:
    """Return the largest states in units of an input of these exponents."""
    return None if peak is None else np.ldexp(peak, exponent[:, None].astype(np.int32))


@dataclass(frozen=True, eq=False)
class Poles:
    """Quantised poles of an SSM with all that follows from them alone."""

    a_re: IntArray
    a_im: IntArray
    shift: IntArray
    series: PoleSeries
    C: ComplexArray
    """C refitted to the quantised poles, the factor 2 of the real part included."""


def prepare_poles(node: n.SSM, bits: int, margin_log2: int) -> Poles:
    """Quantise the poles of an SSM whose B is folded, and refit C to them."""
    a_re, a_im, shift = quantise_poles(node.A_bar, bits, margin_log2, node.name)
    q = (a_re + 1j * a_im) * np.exp2(-shift.astype(np.float64))
    C = 2 * refit_residues(node.C, node.A_bar, q)
    return Poles(a_re, a_im, shift, pole_series(a_re, a_im, shift), C)


def drive_deficit(
    poles: Poles, drive: FloatArray, state_peak: FloatArray | None, state_bits: int
) -> IntArray:
    """Return by how many bits (H) the input must be narrower so that every state can hold it.

    `drive` is the largest integer input (H) at the exponent tried; `state_peak` the largest
    states (H, N) in units of the input's integers, None for proved scaling.
    """
    shift = _input_shift(poles, drive, state_peak, state_bits)
    deficit: IntArray = np.maximum(0, -(poles.shift + shift).min(axis=1))
    return deficit


def _input_shift(
    poles: Poles, drive: FloatArray, state_peak: FloatArray | None, state_bits: int
) -> IntArray:
    """Return k (H, N): by what power of two the input enters each mode to fill its state."""
    limit = largest_mantissa(state_bits) - 1.0
    if state_peak is not None:
        return fitting_exponent(state_peak, limit)
    series = np.maximum(poles.series.re_total, poles.series.im_total)
    return fitting_exponent(series * drive[:, None], limit - _drift(poles))


def _drift(poles: Poles) -> FloatArray:
    """Return how far the rounding errors of all steps can move a state, (H, N)."""
    return 0.5 * (poles.series.re_total + poles.series.im_total)


def integer_ssm(
    node: n.SSM,
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
    shift = _input_shift(poles, u.largest().astype(np.float64), state_peak, widths.state)
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
