"""A softmax over channels: the table of powers, and what an integer is worth."""

from __future__ import annotations

import numpy as np

from neurossm.compile.emit.builder import Builder, uniform_exponent
from neurossm.compile.rules import Need, emits
from neurossm.errors import LimitError
from neurossm.graph import nodes as n
from neurossm.program import Softmax, unchecked
from neurossm.program.softmax import LOG2_BITS, PROBABILITY_EXPONENT, power_table

_SCALE_SHIFT = 22
"""The scale is `2**22 / ln 2`, to nearest: 23 bits."""


@emits(n.SoftmaxNode, Need.UNIFORM, fixed=True)
def emit_softmax(node: n.SoftmaxNode, b: Builder) -> None:
    """Append the Softmax, whose results have 20 fractional bits.

    Raises
    ------
    LimitError
        An integer of its input is worth more than 2**8.
    """
    source = b.read(node, 0)
    spec = b.out(source)
    exponent = uniform_exponent(node.name, spec.exponent)
    shift = _SCALE_SHIFT + exponent - LOG2_BITS
    if shift < 0:
        raise LimitError(
            f"{node.name}: its inputs reach so far that they have steps of 2^{-exponent}; "
            "a softmax of them would tell nothing apart"
        )
    scale = round(2**_SCALE_SHIFT / float(np.log(2)))
    out = unchecked(PROBABILITY_EXPONENT + 2, PROBABILITY_EXPONENT, spec.channels)
    fields = (power_table(), scale, shift)
    b.add(Softmax(node.name, (source,), out, *fields, layer=node.layer))
