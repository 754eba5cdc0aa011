"""Integers for a single neuron, for networks that users wire themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurossm import graph, program
from neurossm.compile.emit.ssm import integer_ssm
from neurossm.compile.options import CompileOptions
from neurossm.compile.poles import prepare_poles

ACCUMULATOR_BITS = 32
"""Of what is exact in 32-bit messages between neurons."""


def integer_neuron(
    ssm: graph.SSMNode,
    *,
    input_bits: int = 16,
    input_exponent: int = 0,
    options: CompileOptions | None = None,
) -> program.SSM:
    """Round a float SSM to integers that cannot overflow, for any input and any number of steps.

    Poles stay inside the unit circle, the readout is refitted to them, and the input is scaled so
    that the proved bound of every state fills its width. Neither states nor y ever saturate.

    Parameters
    ----------
    ssm
        A node of a float graph.
    input_bits
        Width of the integers u that will arrive.
    input_exponent
        What they stand for: `u * 2**-input_exponent`.
    options
        Widths of poles, readout and states, and the pole margin; None for the compiler's.

    Returns
    -------
    SSM
        An operation of programs. Its y stands for `y * 2**-out.exponent`, so that a threshold t is
        `floor(t * 2**out.exponent)`.

    Raises
    ------
    LimitError
        Poles too coarse, or states too narrow for this input.
    """
    options = options or CompileOptions()
    node = replace(ssm, B_bar=np.ones(ssm.B_bar.shape, complex), C=ssm.B_bar * ssm.C)
    poles = prepare_poles(node, options.widths.pole, options.pole_margin_log2)
    drive = program.unchecked(input_bits, input_exponent, len(ssm.D))
    return integer_ssm(node, poles, drive, None, options.widths, ACCUMULATOR_BITS)
