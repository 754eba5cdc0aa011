"""What all layers have in common: an SSM, then a function of one time step."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from neurossm.errors import UnsupportedError
from neurossm.models.config import ModelConfig
from neurossm.models.ssm import S4D


class Mixer(nn.Module):
    """An S4D layer followed by `mix`, which sees one time step at a time.

    Parameters
    ----------
    config
        Of the network.

    Attributes
    ----------
    weight_limit
        Largest integer of a mixing weight in quantisation-aware training; None without.
    rates
        Where `forward` notes the rate of spikes; None: nowhere.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ssm = S4D(config)
        self.weight_limit: int | None = None
        self.rates: list[Tensor] | None = None

    @abstractmethod
    def mix(self, y: Tensor, valid: Tensor | None = None) -> Tensor:
        """Turn SSM outputs (B, H, L) into layer outputs (B, H, L), each step on its own.

        Statistics of a batch count the steps that valid (B, L) names; None: all.
        """

    def forward(
        self, u: Tensor, kernel: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """Apply the layer to whole sequences (B, H, L); the SSM's kernel may be at hand."""
        y = self.ssm(u, kernel)
        self.note_rate(y, valid)
        return self.mix(y, valid)

    def note_rate(self, y: Tensor, valid: Tensor | None = None) -> None:
        """Append the share of spikes among outputs of the SSM (B, H, L), if training wants it.

        Of steps that valid (B, L) names; None: of all.
        """
        if self.rates is None or not self.training:
            return
        spikes = self.spike_rate(y)  # (B, L)
        if valid is not None:
            spikes = spikes * valid * (valid.numel() / valid.sum())
        self.rates.append(spikes.mean())

    def spike_rate(self, y: Tensor) -> Tensor:
        """Return the share of channels (B, L) of y (B, H, L) that spike.

        It has a surrogate gradient.
        """
        raise UnsupportedError(f"a {type(self).__name__} layer has no rate of spikes to train")

    def initial_state(self, batch: int) -> Tensor:
        """Return the state before the first step, complex128 (batch, H, ...)."""
        return self.ssm.initial_state(batch)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the layer to one step u (B, H), given and returning the state of the SSM."""
        y, state = self.ssm.step(u, state)
        return self.mix(y.unsqueeze(-1)).squeeze(-1), state
