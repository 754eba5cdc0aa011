"""Integers of neurons with soft reset: coefficients, and the exponent that leaves states room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray, IntArray
from neurossm.compile.options import CompileOptions
from neurossm.compile.poles import quantise_poles
from neurossm.compile.ranges import Ranges
from neurossm.compile.scaling import fitting_exponent, to_mantissa, value_limit
from neurossm.errors import LimitError
from neurossm.graph import nodes as n
from neurossm.grid_points import FINEST
from neurossm.program.adlif import adaptive_feedback
from neurossm.program.resonate_fire import resonant_feedback
from neurossm.program.soft_reset import Feedback


@dataclass(frozen=True, eq=False)
class RoundedNeuron:
    """What is known of a neuron before its exponent.

    Parameters
    ----------
    integers
        Coefficients under the names of the operation's fields, (H).
    feedback
        What they make, with spikes in units of the node's values.
    """

    integers: Mapping[str, IntArray]
    feedback: Feedback


def quantised(node: n.SoftResetNode, options: CompileOptions) -> RoundedNeuron:
    """Round the coefficients of a neuron.

    Raises
    ------
    LimitError
        A pole outside the unit circle where everything must be proved.
    """
    if isinstance(node, n.AdLIFNode):
        return _adaptive(node, options)
    assert isinstance(node, n.ResonateFireNode)
    return _resonant(node, options)


def _adaptive(node: n.AdLIFNode, options: CompileOptions) -> RoundedNeuron:
    bits, margin = options.widths_of(node.layer).pole, options.pole_margin_log2
    decay, decay_shift = quantised_decay(node.decay, bits, margin)
    slow, slow_shift = quantised_decay(node.adaptation_decay, bits, margin)
    sensitivity = to_mantissa(node.sensitivity, slow_shift)
    alpha, beta, a = (
        np.ldexp(part.astype(np.float64), -shift.astype(np.int32))
        for part, shift in ((decay, decay_shift), (slow, slow_shift), (sensitivity, slow_shift))
    )
    integers = {
        "decay": decay,
        "decay_shift": decay_shift,
        "adaptation_decay": slow,
        "sensitivity": sensitivity,
        "adaptation_shift": slow_shift,
    }
    return RoundedNeuron(integers, adaptive_feedback(alpha, beta, a, node.jump, node.reset))


def _resonant(node: n.ResonateFireNode, options: CompileOptions) -> RoundedNeuron:
    bits, margin = options.widths_of(node.layer).pole, options.pole_margin_log2
    radius: FloatArray = np.abs(node.pole)
    stable = radius < 1
    if options.scaling == "proved" and not stable.all():
        channel = int(radius.argmax())
        raise LimitError(
            f"{node.name}: in {int((~stable).sum())} of {stable.size} channels the pole is outside "
            f"the unit circle (|q| = {radius[channel]:.6g} in channel {channel}), where "
            "nothing bounds the state for any number of steps; use calibrated scaling"
        )
    inside: ComplexArray = np.where(stable, node.pole, 0)[:, None]
    near = [part[:, 0] for part in quantise_poles(inside, bits, margin, node.name)]
    coarse = bits - 2  # what grows is near 1, but may exceed it
    grows = (to_mantissa(node.pole.real, coarse), to_mantissa(node.pole.imag, coarse))
    a_re, a_im = (np.where(stable, a, b) for a, b in zip(near, grows, strict=False))
    shift = np.where(stable, near[2], coarse)
    pole: ComplexArray = np.exp2(-shift.astype(np.float64)) * (a_re + 1j * a_im)
    integers = {"a_re": a_re, "a_im": a_im, "pole_shift": shift}
    return RoundedNeuron(integers, resonant_feedback(pole, node.reset))


def quantised_decay(decay: FloatArray, bits: int, margin_log2: int) -> tuple[IntArray, IntArray]:
    """Round decays from 0 to 1: themselves, or what they lack of 1, as numbers of `bits` bits.

    Returns
    -------
    tuple
        Integers and shifts (H); at most `1 - 2^-margin_log2`, so that what is kept is bounded.
    """
    largest = 1 - 2.0**-margin_log2
    lacking = 1 - np.minimum(decay, largest)
    fine = np.floor(np.log2(((1 << (bits - 1)) - 4) / lacking))
    shift = np.clip(fine, bits - 1, max(FINEST, bits - 1)).astype(np.int64)
    most = np.floor(np.ldexp(largest, shift.astype(np.int32))).astype(np.int64)
    return np.minimum(to_mantissa(decay, shift), most), shift


def fitting(
    node: n.SoftResetNode, neuron: RoundedNeuron, ranges: Ranges, options: CompileOptions
) -> IntArray:
    """Return the finest exponents (H) at which the states hold all that can happen.

    Raises
    ------
    LimitError
        They cannot be proved to, where everything must be.
    """
    bits, seen = options.widths_of(node.layer).state, ranges.tensors[node.inputs[0]]
    limit = value_limit(bits)
    ends = np.sort(np.stack([seen.low, seen.high]) * node.gain, axis=0)
    largest: FloatArray = np.abs(ends).max(axis=0)
    drive = fitting_exponent(largest, limit)
    if ranges.states is not None:
        peak: FloatArray = ranges.states[node.name].max(axis=1)
        peak = np.maximum(peak, np.abs(node.threshold))
        return np.minimum(drive, fitting_exponent(2 * peak, limit))
    still, exact = neuron.feedback.reach(ends[0], ends[1], 0.0), np.zeros_like(ends[0])
    reach = np.maximum(-still[0], still[1]).max(axis=1)
    silent = Feedback(
        neuron.feedback.matrix, neuron.feedback.drive, np.zeros_like(neuron.feedback.spike)
    )
    drift = silent.reach(exact, exact, 1.0)[1].max(axis=1)
    room = limit - drift
    if not (np.isfinite(reach) & (room > 0)).all():
        channel = int(np.argmax(~(np.isfinite(reach) & (room > 0))))
        raise LimitError(
            f"{node.name}: states of {bits} bits cannot be proved: in channel {channel} too much "
            "adds up; use wider states, a smaller pole margin, or calibrated scaling"
        )
    return np.minimum(drive, fitting_exponent(reach, room))
