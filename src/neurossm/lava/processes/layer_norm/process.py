"""LayerNorm: mean and variance over all channels of one step."""

from __future__ import annotations

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurossm.lava.normalisation import (
    FixedNormalisation,
    FloatingNormalisation,
    Normalisation,
)
from neurossm.lava.parameters import Normalise
from neurossm.lava.schedule import Schedule


class LayerNorm(Normalisation):
    """`y = gain (a_in - mean) / sqrt(variance + eps) + offset`, statistics over the channels.

    Ports: `a_in` (H), `y_out` (H).

    Parameters
    ----------
    normalise
        Gain, shift, offset (H), eps and the width of y.
    schedule
        When samples pass; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `a` (what was received), `y`.
    """

    def __init__(
        self,
        *,
        normalise: Normalise,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(norm=normalise, schedule=schedule, trace=trace, name=name)


@implements(proc=LayerNorm, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LayerNormFixed(FixedNormalisation):
    """Integers, rounded and saturated."""


@implements(proc=LayerNorm, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class LayerNormFloating(FloatingNormalisation):
    """Real numbers."""
