"""Binary S4D: SSM, spike, dense, gated linear unit."""

from __future__ import annotations

from torch import Tensor

from neurossm.models.gated import GatedMixer
from neurossm.models.surrogate import spike


class BinaryS4D(GatedMixer):
    """``out = GLU(W H(y) + b)``: the input of W is binary, the product with it additions only.

    Source: Stan & Rhodes 2024, Binary S4D.
    """

    def activate(self, y: Tensor) -> Tensor:
        """Return one where y is above zero, else zero."""
        return spike(y)

    def spike_rate(self, y: Tensor) -> Tensor:
        """Return the share of channels (B, L) of y (B, H, L) that spike."""
        return spike(y).mean(dim=1)
