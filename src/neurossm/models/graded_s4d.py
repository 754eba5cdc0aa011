"""Graded S4D: SSM, GELU or ReLU, dense, gated linear unit."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from neurossm.models.config import ModelConfig
from neurossm.models.gated import GatedMixer


class GradedS4D(GatedMixer):
    """``out = GLU(W f(y) + b)`` with f = GELU (exact) or ReLU: W multiplies graded values.

    It does not spike: its products are multiplications. Sources: ``s4d.py`` of state-spaces/s4
    (GELU); Meyer et al. 2024, a diagonal structured SSM on Loihi 2 (ReLU).

    Attributes
    ----------
    activation
        ``gelu`` or ``relu``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.activation = config.activation

    def activate(self, y: Tensor) -> Tensor:
        """Return f(y), value by value."""
        return F.gelu(y) if self.activation == "gelu" else F.relu(y)
