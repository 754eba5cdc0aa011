"""S4D with a gated linear unit: what Binary S4D and graded S4D have in common."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.models.config import ModelConfig
from neurossm.models.grids import GateTable, rows_on_grid
from neurossm.models.mixer import Mixer


class GatedMixer(Mixer):
    """``out = GLU(W f(y) + b)`` with ``y`` the output of the SSM and ``f`` from a subclass.

    ``GLU([a; g]) = a sigmoid(g)``.

    Attributes
    ----------
    dense
        W (2H, H) and b (2H): the first H rows make the value a, the others the gate g.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.dense = nn.Linear(config.d_model, 2 * config.d_model)
        self.table: GateTable | None = None

    @abstractmethod
    def activate(self, y: Tensor) -> Tensor:
        """Return f(y), value by value."""

    def mix(self, y: Tensor, valid: Tensor | None = None) -> Tensor:
        """Turn SSM outputs (B, H, L) into layer outputs (B, H, L)."""
        return self.gate(self.activate(y))

    def gate(self, activity: Tensor) -> Tensor:
        """Return ``GLU(W f + b)`` of activities (B, H, L)."""
        mixed = torch.matmul(self.mixing_weight(), activity) + self.dense.bias.unsqueeze(-1)
        if self.table is None:
            return F.glu(mixed, dim=1)
        value, gate = mixed.chunk(2, dim=1)
        return value * self.table(gate)

    def mixing_weight(self) -> Tensor:
        """Return W, on its grid if there is one."""
        return rows_on_grid(self.dense.weight, self.weight_limit)
