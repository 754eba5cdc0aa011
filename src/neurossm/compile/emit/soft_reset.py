"""Neurons with soft reset: the drive they read, and the integer neuron."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.arrays import IntArray
from neurossm.compile.emit.builder import Builder
from neurossm.compile.emit.pointwise import SPIKE_BITS, integer_threshold
from neurossm.compile.formats import Format
from neurossm.compile.rules import emits
from neurossm.compile.scaling import largest_mantissa, to_mantissa
from neurossm.compile.soft_reset import fitting, quantised
from neurossm.graph import nodes as n
from neurossm.naming import part_of
from neurossm.program import AdLIF, ResonateFire, unchecked
from neurossm.program.tensor import TensorSpec

_USES = ("pole", "state", "gain")


@emits(n.AdLIFNode, fixed=True, uses=_USES)
def emit_adlif(node: n.AdLIFNode, b: Builder) -> None:
    """Append the Affine that drives it, unless its input is that already, and the AdLIF."""
    neuron = quantised(node, b.options)
    drive = _drive(node, b, fitting(node, neuron, b.ranges, b.options))
    bits, exponent = b.widths_for(node.layer).state, b.out(drive).exponent
    jump = to_mantissa(node.jump, exponent)
    shared = _shared(node, bits, b.out(drive))
    reset = _within(to_mantissa(node.reset, exponent), bits)
    fields: dict[str, Any] = {**neuron.integers, "jump": _within(jump, bits), "reset": reset}
    b.add(AdLIF(node.name, (drive,), **fields, **shared))


@emits(n.ResonateFireNode, fixed=True, uses=_USES)
def emit_resonate_fire(node: n.ResonateFireNode, b: Builder) -> None:
    """Append the Affine that drives it, unless its input is that already, and the ResonateFire."""
    neuron = quantised(node, b.options)
    drive = _drive(node, b, fitting(node, neuron, b.ranges, b.options))
    bits, exponent = b.widths_for(node.layer).state, b.out(drive).exponent
    resets = {
        "reset_re": _within(to_mantissa(node.reset.real, exponent), bits),
        "reset_im": _within(to_mantissa(node.reset.imag, exponent), bits),
    }
    fields: dict[str, Any] = {**neuron.integers, **resets}
    b.add(ResonateFire(node.name, (drive,), **fields, **_shared(node, bits, b.out(drive))))


def _drive(node: n.SoftResetNode, b: Builder, exponent: IntArray) -> str:
    """Return the name of what drives a neuron: its input, where that has room enough."""
    source = b.read(node, 0)
    if (node.gain == 1).all() and (b.out(source).exponent <= exponent).all():
        return source
    bits, zeros = b.widths_for(node.layer).state, np.zeros(node.gain.size)
    name, wanted = part_of(node.name, "drive"), Format(bits, exponent)
    return b.requantise(name, node.layer, source, wanted, node.gain, zeros).name


def _shared(node: n.SoftResetNode, bits: int, drive: TensorSpec) -> dict[str, Any]:
    spec = unchecked(bits, drive.exponent, drive.channels)
    return {
        "out": unchecked(SPIKE_BITS, 0, drive.channels),
        "threshold": integer_threshold(node.threshold, spec),
        "state_bits": bits,
        "layer": node.layer,
    }


def _within(values: IntArray, bits: int) -> IntArray:
    """Keep what exceeds a state from exceeding a machine word: it clips the state either way."""
    most = 2 * largest_mantissa(bits)
    return np.clip(values, -most, most)
