"""Integers for neurons that Lava users wire themselves; programs have theirs from the compiler."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import IntArray
from neurossm.compile.emit.ssm import integer_ssm
from neurossm.compile.options import CompileOptions
from neurossm.compile.poles import prepare_poles
from neurossm.graph.ssm import SSM
from neurossm.lava.from_program import ACCUMULATOR_BITS, integer_modes_of
from neurossm.lava.parameters import Modes
from neurossm.program import unchecked

__all__ = ["integer_modes"]


def integer_modes(
    modes: Modes,
    *,
    input_bits: int = 16,
    input_exponent: int = 0,
    options: CompileOptions | None = None,
) -> tuple[Modes, IntArray]:
    """Round float modes to integers that cannot overflow, for any input and any number of steps.

    Poles stay inside the unit circle, the readout is refitted to them, and the input is scaled so
    that the proved bound of every state fills its width. Neither states nor y ever saturate.

    Parameters
    ----------
    modes
        Real-valued, all shifts zero; see `Modes.of`.
    input_bits
        Width of the integers u that will arrive.
    input_exponent
        What they stand for: `u * 2**-input_exponent`.
    options
        Widths of poles, readout and states, and the pole margin; None for the compiler's.

    Returns
    -------
    modes
        In integers.
    exponent
        (H): y stands for `y * 2**-exponent`, so that a threshold t is
        `floor(t * 2**exponent)`.

    Raises
    ------
    LimitError
        Poles too coarse, or states too narrow for this input.
    """
    options = options or CompileOptions()
    one = np.ones(modes.shape, complex)
    a = np.asarray(modes.a_re) + 1j * np.asarray(modes.a_im)
    c = np.asarray(modes.c_re) + 1j * np.asarray(modes.c_im)
    node = SSM("modes", ("u",), a, one, c / 2, np.asarray(modes.d, np.float64))
    poles = prepare_poles(node, options.widths.pole, options.pole_margin_log2)
    drive = unchecked(input_bits, input_exponent, modes.channels)
    op = integer_ssm(node, poles, drive, None, options.widths, ACCUMULATOR_BITS)
    return integer_modes_of(op), op.out.exponent
