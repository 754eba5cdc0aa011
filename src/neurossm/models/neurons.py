"""Spiking neurons with soft reset: AdLIF and resonate-and-fire, step by step.

Symbols::

    B, L, H     batch, time steps, channels
    x           what arrives, (B, H, L)
    u           what is compared with the threshold
    s           spike, 0 or 1; no neuron spikes before the first step
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from neurossm.models.surrogate import spike

States = tuple[Tensor, Tensor]


class NeuronModule(nn.Module):
    """Channels that keep two numbers each and compare one with a threshold, at every step.

    Parameters
    ----------
    size
        H.

    Attributes
    ----------
    gain, threshold
        What multiplies x, and what u is compared with, (H).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))
        self.threshold = nn.Parameter(torch.ones(size))

    def initial_state(self, batch: int) -> States:
        """Return both states (batch, H), zero."""
        zeros = self.gain.new_zeros(batch, len(self.gain))
        return zeros, zeros

    @abstractmethod
    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """Advance by one step of x (B, H); return spikes (B, H) and the next states."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes (B, H, L) of whole sequences (B, H, L)."""
        state, spikes = self.initial_state(len(x)), []
        for t in range(x.shape[-1]):
            s, state = self.step(x[..., t], state)
            spikes.append(s)
        return torch.stack(spikes, dim=-1)


class AdLIFModule(NeuronModule):
    """A membrane potential v and an adaptation current w, with soft reset.

    ::

        u  = decay v - (1 - decay) w + gain x        s = 1 if u > threshold else 0
        v' = u - reset s
        w' = adaptation_decay w + sensitivity u + jump s

    SiLIF, constrained AdLIF, adLIF and the LIF with soft reset are this recurrence with
    `gain = 1 - decay`. Sources: Bittar & Garner 2022, Deckers et al. 2024, Fabre et al. 2025.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.decay = nn.Parameter(torch.full((size,), 0.9))
        self.adaptation_decay = nn.Parameter(torch.full((size,), 0.99))
        self.sensitivity = nn.Parameter(torch.zeros(size))
        self.jump = nn.Parameter(torch.zeros(size))
        self.reset = nn.Parameter(torch.ones(size))

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """Advance by one step of x (B, H); return spikes (B, H) and the next v and w."""
        v, w = state
        u = self.decay * v - (1 - self.decay) * w + self.gain * x
        s = spike(u - self.threshold)
        w = self.adaptation_decay * w + self.sensitivity * u + self.jump * s
        return s, (u - self.reset * s, w)


class ResonateFireModule(NeuronModule):
    """A complex state z, with soft reset.

    ::

        u  = pole z + gain x        s = 1 if Re u > threshold else 0
        z' = u - reset s

    C-SiLIF has a real reset; in the forward Euler form of Higuchi et al. 2024 it is `1 / pole`.

    Attributes
    ----------
    pole, reset (H, 2)
        Real and imaginary parts.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.pole = nn.Parameter(torch.tensor([0.9, 0.3]).repeat(size, 1))
        self.reset = nn.Parameter(torch.tensor([1.0, 0.0]).repeat(size, 1))

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """Advance by one step of x (B, H); return spikes (B, H) and the parts of the next z."""
        (a, b), (r, i) = self.pole.unbind(1), self.reset.unbind(1)
        u_re = a * state[0] - b * state[1] + self.gain * x
        u_im = b * state[0] + a * state[1]
        s = spike(u_re - self.threshold)
        return s, (u_re - r * s, u_im - i * s)
