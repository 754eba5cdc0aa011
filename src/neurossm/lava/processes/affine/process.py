"""Affine: one product and one sum per channel."""

from __future__ import annotations

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurossm.lava.normalisation import (
    FixedNormalisation,
    FloatingNormalisation,
    Normalisation,
)
from neurossm.lava.parameters import Rescale
from neurossm.lava.schedule import Schedule


class Affine(Normalisation):
    """`y = sat(rshift(gain*a_in, shift) + offset)` per channel: a bias, a norm, a change of width.

    Ports: `a_in` (H), `y_out` (H).

    Parameters
    ----------
    rescale
        Gain, shift, offset (H) and the width of y.
    schedule
        When samples pass; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `a` (what was received), `y`.
    """

    def __init__(
        self,
        *,
        rescale: Rescale,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(norm=rescale, schedule=schedule, trace=trace, name=name)


@implements(proc=Affine, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class AffineFixed(FixedNormalisation):
    """Integers, rounded and saturated."""


@implements(proc=Affine, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class AffineFloating(FloatingNormalisation):
    """Real numbers."""
