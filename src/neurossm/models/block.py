"""Residual block: norm, mixer, dropout, sum."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.models.binary_s4d import BinaryS4D
from neurossm.models.config import LayerKind, ModelConfig
from neurossm.models.graded_s4d import GradedS4D
from neurossm.models.gsu import GSU
from neurossm.models.mixer import Mixer
from neurossm.models.spiking_ssm import SpikingSSM
from neurossm.models.valid import normed

_MIXERS: dict[LayerKind, type[Mixer]] = {
    "binary-s4d": BinaryS4D,
    "gsu": GSU,
    "s4d": GradedS4D,
    "spiking-ssm": SpikingSSM,
}


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, H, L)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, H, L) over H."""
        normed = F.layer_norm(
            x.transpose(1, 2), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return normed.transpose(1, 2)


def make_norm(config: ModelConfig) -> nn.Module:
    """Return the norm that the configuration asks for, a function of (B, H, L)."""
    if config.norm == "batch":
        return nn.BatchNorm1d(config.d_model)
    if config.norm == "layer":
        return ChannelLayerNorm(config.d_model)
    return nn.Identity()


def make_mixer(config: ModelConfig) -> Mixer:
    """Return the layer that the configuration asks for."""
    return _MIXERS[config.layer](config)


class Block(nn.Module):
    """``x + dropout(mixer(norm(x)))`` (prenorm) or ``norm(x + dropout(mixer(x)))`` (postnorm).

    Parameters
    ----------
    config
        Of the network.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.prenorm = config.prenorm
        self.norm = make_norm(config)
        self.mixer = make_mixer(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, kernel: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """Apply the block to whole sequences (B, H, L); the SSM's kernel may be at hand.

        In training, statistics count the steps that valid (B, L) names; None: all.
        """
        if self.prenorm:
            out: Tensor = x + self.dropout(self.mixer(normed(self.norm, x, valid), kernel, valid))
        else:
            out = normed(self.norm, x + self.dropout(self.mixer(x, kernel, valid)), valid)
        return out

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the block to one step x (B, H), given and returning the state of its SSM."""
        u = self._norm_step(x) if self.prenorm else x
        out, state = self.mixer.step(u, state)
        x = x + self.dropout(out)
        return (x if self.prenorm else self._norm_step(x)), state

    def _norm_step(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x.unsqueeze(-1)).squeeze(-1)
        return normed
