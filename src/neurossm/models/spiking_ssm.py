"""SpikingSSM: SSM, a leaky soma with hard reset, dense, gated linear unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurossm.models.config import ModelConfig
from neurossm.models.gated import GatedMixer
from neurossm.models.surrogate import spike

SOMA_DECAY = 0.125
"""What is left of the soma's potential after one step."""


class SpikingSSM(GatedMixer):
    """``out = GLU(W s + b)``, where s are the spikes of a LIF neuron that y drives.

    ``u_t = 0.125 v_{t-1} + y_t / threshold``; it spikes at u >= 1, and v is 0 then, else u.
    Source: Shen et al. 2024, SpikingSSMs (arXiv 2408.14909).

    Attributes
    ----------
    log_threshold (H)
        Logarithm of the threshold.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.log_threshold = nn.Parameter(torch.zeros(config.d_model))

    def activate(self, y: Tensor) -> Tensor:
        """Return the soma's spikes (B, H, L), from a potential of zero."""
        v, spikes = torch.zeros_like(y[..., 0]), []
        for t in range(y.shape[-1]):
            s, v = self._fire(y[..., t], v)
            spikes.append(s)
        return torch.stack(spikes, dim=-1)

    def _fire(self, y: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return spikes and potentials (B, H) after a step of y (B, H)."""
        u = SOMA_DECAY * v + y / torch.exp(self.log_threshold)
        one = torch.ones_like(self.log_threshold)
        s = spike(u - torch.nextafter(one, 0 * one))  # at 1 it spikes
        return s, (1 - s.detach()) * u

    def initial_state(self, batch: int) -> Tensor:
        """Return the SSM's zero state, and one more column for the soma: (batch, H, N + 1)."""
        ssm = self.ssm.initial_state(batch)
        return torch.cat([ssm, torch.zeros_like(ssm[..., :1])], dim=-1)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the layer to one step u (B, H), given and returning the states."""
        y, ssm = self.ssm.step(u, state[..., :-1])
        s, v = self._fire(y, state[..., -1].real.to(y.dtype))
        following = torch.cat([ssm, v.to(ssm.dtype).unsqueeze(-1)], dim=-1)
        return self.gate(s.unsqueeze(-1)).squeeze(-1), following
