"""A leaky integrator: its drive, an Affine that leaves its states room, and the integer neuron."""

from __future__ import annotations

import numpy as np

from neurossm.compile.emit.builder import Builder
from neurossm.compile.emit.pointwise import SPIKE_BITS, integer_threshold
from neurossm.compile.formats import Format
from neurossm.compile.rules import emits
from neurossm.compile.scaling import fitting_exponent, to_mantissa, value_limit
from neurossm.errors import LimitError
from neurossm.graph import nodes as n
from neurossm.naming import part_of
from neurossm.program import LIF, unchecked


@emits(n.LIFNode, fixed=True, uses=("pole", "state", "drive", "gain"))
def emit_lif(node: n.LIFNode, b: Builder) -> None:
    """Append the Affine that drives it, and the LIF.

    Raises
    ------
    LimitError
        The states cannot be proved to hold what a decay of 1, or near it, adds up.
    """
    widths, seen = b.widths_for(node.layer), b.ranges.tensors[node.inputs[0]]
    shift = widths.pole - 1
    decay = np.where(
        node.decay < 1,
        np.minimum(to_mantissa(node.decay, shift), (1 << shift) - 1),
        np.int64(1) << shift,
    )
    with np.errstate(divide="ignore"):
        drift = 0.5 / (1 - np.ldexp(decay.astype(np.float64), -shift))
    reach = node.largest_state(seen)
    room = value_limit(widths.state) - drift
    if b.proving and not (np.isfinite(reach) & (room > 0)).all():
        channel = int(np.argmax(~(np.isfinite(reach) & (room > 0))))
        raise LimitError(
            f"{node.name}: states of {widths.state} bits cannot be proved: in channel {channel} "
            f"the decay of {node.decay[channel]:.6g} lets too much add up; use wider states, a "
            "smaller decay, or calibrated scaling"
        )
    reach = np.where(np.isfinite(reach), reach, seen.largest())
    exponent = fitting_exponent(seen.largest(), value_limit(widths.drive))
    exponent = np.minimum(exponent, fitting_exponent(reach, np.maximum(room, 1.0)))
    ones, zeros = np.ones(decay.size), np.zeros(decay.size)
    drive = b.requantise(
        part_of(node.name, "drive"),
        node.layer,
        b.read(node, 0),
        Format(widths.drive, exponent),
        ones,
        zeros,
    )
    spec = unchecked(widths.state, drive.out.exponent, decay.size)
    b.add(
        LIF(
            node.name,
            (drive.name,),
            unchecked(SPIKE_BITS, 0, decay.size),
            decay,
            np.full(decay.size, shift),
            integer_threshold(node.threshold, spec),
            widths.state,
            layer=node.layer,
        )
    )
