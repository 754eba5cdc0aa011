"""The Gated Spiking Unit: ternary spikes into dense weights, graded values into ternary weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.models.config import ModelConfig
from neurossm.models.grids import rows_on_grid
from neurossm.models.mixer import Mixer
from neurossm.models.surrogate import ternary
from neurossm.models.valid import normed

MOMENTUM = 0.1


class StaticThreshold(nn.Module):
    """One threshold per layer that stands in for a threshold per time step.

    In training: the mean of ``factor * max_h |y_h|`` over the batch's valid steps, which also
    updates a running estimate, as BatchNorm does (momentum 0.1). In evaluation: that
    estimate, frozen, so that no step needs a maximum over all channels.

    Parameters
    ----------
    factor
        0.15 in the paper's code.

    Attributes
    ----------
    running
        The running estimate, a scalar; 1 at first.
    average
        Applied to what a batch gives, unless None: processes that share a batch take their mean.
    """

    running: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.average: Callable[[Tensor], Tensor] | None = None
        self.register_buffer("running", torch.ones(()))

    def forward(self, y: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the threshold, a scalar, for y (B, L, H); valid (B, L) tells which steps count."""
        if not self.training:
            return self.running
        largest: Tensor = torch.linalg.vector_norm(y.detach(), ord=math.inf, dim=-1)  # in one pass
        current = self.factor * self._mean(largest, valid)
        with torch.no_grad():
            self.running.lerp_(current.to(self.running.dtype), MOMENTUM)
        return current

    def _mean(self, largest: Tensor, valid: Tensor | None) -> Tensor:
        average = self.average or torch.clone
        if valid is None:
            return average(largest.mean())
        sums = torch.stack([torch.where(valid, largest, 0).sum(), valid.sum().to(largest.dtype)])
        total, count = average(sums).unbind()  # processes may have different numbers of steps
        return total / count


class DynamicThreshold(nn.Module):
    """The threshold of the paper's code: ``d_y(t) = factor * max_h |y_h(t)|``.

    Parameters
    ----------
    factor
        0.15 in the paper's code.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, y: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return thresholds (B, L, 1) for y (B, L, H), each step's from that step alone."""
        return self.factor * y.abs().amax(dim=-1, keepdim=True)


class GSU(Mixer):
    """``out = GELU(LayerNorm([T_{d_y}(y) W + b] * [y T_{d_W}(W)]))`` with y the SSM's output.

    ``T_d(z) = H(z - d) - H(-z - d)``, ``d_W = factor * max |W|``; y is a row vector. Both matrix
    products are additions only. Source: official code of Stan & Rhodes 2024, ``s4_gsu.py``. With
    ``gate_norm="batch"`` a BatchNorm takes the place of the LayerNorm, with
    ``activation="none"`` the GELU is left out.

    Attributes
    ----------
    weight, bias
        W (H, H) and b (H).
    threshold
        `StaticThreshold` or `DynamicThreshold`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        size = config.d_model
        bound = 1.0 / math.sqrt(size)
        self.factor = config.threshold_factor
        self.activation = config.activation
        self.weight = nn.Parameter(torch.empty(size, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.randn(size))
        self.threshold: nn.Module = (
            StaticThreshold(self.factor)
            if config.threshold == "static"
            else DynamicThreshold(self.factor)
        )
        self.norm: nn.Module = (
            nn.LayerNorm(size) if config.gate_norm == "layer" else nn.BatchNorm1d(size)
        )

    def ternary_weight(self) -> Tensor:
        """Return ``T_{d_W}(W)`` (H, H), values -1, 0 and 1."""
        weight = self.mixing_weight()
        return ternary(weight, self.factor * weight.abs().max())

    def mixing_weight(self) -> Tensor:
        """Return W, on its grid if there is one: each output's weights are a row of the program."""
        return rows_on_grid(self.weight.mT, self.weight_limit).mT

    def spike_rate(self, y: Tensor) -> Tensor:
        """Return the share of channels (B, L) of y (B, H, L) that spike, up or down."""
        if isinstance(self.threshold, StaticThreshold):
            return ternary(y, self.threshold.running).abs().mean(dim=1)
        return ternary(y, self.factor * y.abs().amax(dim=1, keepdim=True)).abs().mean(dim=1)

    def mix(self, y: Tensor, valid: Tensor | None = None) -> Tensor:
        """Turn SSM outputs (B, H, L) into layer outputs (B, H, L)."""
        y = y.transpose(1, 2).contiguous()  # (B, L, H)
        first = ternary(y, self.threshold(y, valid)) @ self.mixing_weight() + self.bias
        product = first * (y @ self.ternary_weight())  # (B, L, H)
        out = self._normed(product, valid)
        if self.activation == "gelu":
            out = F.gelu(out)
        return out.transpose(1, 2)

    def _normed(self, product: Tensor, valid: Tensor | None) -> Tensor:
        if valid is None or isinstance(self.norm, nn.LayerNorm):
            flat: Tensor = self.norm(product.flatten(0, 1))
            return flat.view_as(product)
        return normed(self.norm, product.transpose(1, 2), valid).transpose(1, 2)
