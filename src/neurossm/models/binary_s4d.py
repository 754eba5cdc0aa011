"""Binary S4D: SSM, spike, dense, gated linear unit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.models.config import ModelConfig
from neurossm.models.mixer import Mixer
from neurossm.models.surrogate import spike


class BinaryS4D(Mixer):
    """``out = GLU(W H(y) + b)`` with ``y`` the output of the SSM.

    ``GLU([a; g]) = a sigmoid(g)``. The input of W is binary: the matrix product is additions only.
    Source: Stan & Rhodes 2024, Binary S4D.

    Attributes
    ----------
    dense
        W (2H, H) and b (2H): the first H rows make the value a, the others the gate g.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.dense = nn.Linear(config.d_model, 2 * config.d_model)

    def mix(self, y: Tensor) -> Tensor:
        """Turn SSM outputs (B, H, L) into layer outputs (B, H, L)."""
        spikes = spike(y)  # (B, H, L)
        mixed = torch.matmul(self.dense.weight, spikes) + self.dense.bias.unsqueeze(-1)
        return F.glu(mixed, dim=1)
