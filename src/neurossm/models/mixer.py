"""What all layers have in common: an SSM, then a function of one time step."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from neurossm.models.config import ModelConfig
from neurossm.models.ssm import S4D


class Mixer(nn.Module):
    """An S4D layer followed by `mix`, which sees one time step at a time.

    Parameters
    ----------
    config
        Of the network.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ssm = S4D(config)

    @abstractmethod
    def mix(self, y: Tensor, valid: Tensor | None = None) -> Tensor:
        """Turn SSM outputs (B, H, L) into layer outputs (B, H, L), each step on its own.

        Statistics of a batch count the steps that valid (B, L) names; None: all.
        """

    def forward(
        self, u: Tensor, kernel: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """Apply the layer to whole sequences (B, H, L); the SSM's kernel may be at hand."""
        return self.mix(self.ssm(u, kernel), valid)

    def initial_state(self, batch: int) -> Tensor:
        """Return the state before the first step, complex128 (batch, H, ...)."""
        return self.ssm.initial_state(batch)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the layer to one step u (B, H), given and returning the state of the SSM."""
        y, state = self.ssm.step(u, state)
        return self.mix(y.unsqueeze(-1)).squeeze(-1), state
