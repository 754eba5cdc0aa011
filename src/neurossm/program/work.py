"""What each operation computes, per channel and step: multiplications and additions.

A multiplication is a product of two stored numbers, an addition is a sum, a difference or a
comparison. Shifts, roundings and saturations are not counted: they are wires and carry bits of the
additions they follow. The sums of `Dense` and `Embedding` depend on the spikes; they are counted
where the spikes are known and are zero here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from neurossm.errors import UnsupportedError
from neurossm.program.affine import Affine
from neurossm.program.dense import Dense, Embedding
from neurossm.program.elementwise import Add, Product
from neurossm.program.layernorm import NEWTON_STEPS, LayerNorm
from neurossm.program.op import Op
from neurossm.program.readout import Readout
from neurossm.program.source import Input
from neurossm.program.spike import Spike, Ternary
from neurossm.program.ssm import SSM
from neurossm.program.table import Table


@dataclass(frozen=True)
class Work:
    """Operations of one channel in one step.

    `state_updates` counts complex modes. The other state counts are those of an SSM's recurrence
    and readout, the elementwise counts those of everything else.
    """

    state_updates: int = 0
    state_multiplies: int = 0
    state_adds: int = 0
    elementwise_multiplies: int = 0
    elementwise_adds: int = 0

    @property
    def operations(self) -> int:
        """Multiplications and additions together."""
        return (
            self.state_multiplies
            + self.state_adds
            + self.elementwise_multiplies
            + self.elementwise_adds
        )


@singledispatch
def work(op: Op) -> Work:
    """Return the work of an operation per channel and step.

    Raises
    ------
    UnsupportedError
        The operation is of a type nobody has counted.
    """
    raise UnsupportedError(f"{op.name}: the work of a {type(op).__name__} is not known")


@work.register(Input)
@work.register(Dense)
@work.register(Embedding)
def _(op: Op) -> Work:
    return Work()


@work.register
def _(op: Affine) -> Work:
    return Work(elementwise_multiplies=1, elementwise_adds=1)


@work.register
def _(op: SSM) -> Work:
    """Count a mode's update and readout, and the channel's feed-through.

    Per mode: `a_re s_re - a_im s_im + u` and `a_re s_im + a_im s_re` are 4 products and 3 sums;
    `c_re s_re - c_im s_im` is 2 products and a difference, and a sum takes it to the channel's
    total. Per channel: `d u` is a product, and one of the N sums of the total adds it.
    """
    modes = op.modes
    return Work(state_updates=modes, state_multiplies=6 * modes + 1, state_adds=5 * modes)


@work.register
def _(op: Spike) -> Work:
    return Work(elementwise_adds=1)


@work.register
def _(op: Ternary) -> Work:
    return Work(elementwise_adds=2)


@work.register
def _(op: Table) -> Work:
    """Count the offset from the segment's left end, and the slope's signed digits.

    Each nonzero digit of the slope adds one shifted offset to the base; the segment with the most
    digits is charged everywhere.
    """
    return Work(elementwise_adds=1 + max(signed_digits(int(slope)) for slope in op.slope))


@work.register
def _(op: Product) -> Work:
    return Work(elementwise_multiplies=1)


@work.register
def _(op: Add) -> Work:
    return Work(elementwise_adds=1)


@work.register
def _(op: LayerNorm) -> Work:
    """Count `H x - S`, the product with the root, and gain and offset; see `statistics_work`."""
    return Work(elementwise_multiplies=3, elementwise_adds=2)


@work.register
def _(op: Readout) -> Work:
    """Count nothing: the sum over time has as many channels as the input, not as the output."""
    return Work()


def statistics_work(op: LayerNorm) -> Work:
    """Return the work of a LayerNorm that is done once per step, not per channel.

    Per channel: a sum into S, `H x - S`, a comparison for the largest, a square and its sum. Once:
    eps, the first estimate (a product and a difference), and three products and a difference for
    each Newton step.
    """
    channels = op.out.channels
    return Work(
        elementwise_multiplies=2 * channels + 1 + 3 * NEWTON_STEPS,
        elementwise_adds=4 * channels + 2 + NEWTON_STEPS,
    )


def signed_digits(value: int) -> int:
    """Return the number of nonzero digits of an integer in its non-adjacent form.

    That is the least number of powers of two, added or subtracted, that make it:
    7 = 8 - 1 has two.
    """
    # The nonzero digits are where 3 v and v differ (Prodinger 2000).
    magnitude = abs(value)
    return (magnitude ^ (3 * magnitude)).bit_count()
