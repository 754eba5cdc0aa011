"""Sequences that end early: what fills them up is never looked at, nor counted in statistics.

No layer looks ahead, so what follows the end of a sequence reaches its valid steps through
statistics of the batch alone: those of BatchNorm, and the mean of the GSU's thresholds.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """Return which of so many steps are valid, bool (B, steps), for lengths (B)."""
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)


def normed(norm: nn.Module, x: Tensor, valid: Tensor | None) -> Tensor:
    """Return a norm's output (B, H, L); in training, BatchNorm counts the valid steps only.

    Parameters
    ----------
    norm
        A function of (B, H, L).
    x
        (B, H, L).
    valid
        (B, L), bool; None: all.
    """
    of_batch = isinstance(norm, (nn.BatchNorm1d, nn.SyncBatchNorm)) and norm.training
    result: Tensor
    if valid is None or not of_batch:
        result = norm(x)
    elif isinstance(norm, nn.SyncBatchNorm):
        result = normed_rows(norm, x, valid)
    else:
        result = _normed_by_batch(norm, x, valid)
    return result


def _normed_by_batch(norm: Any, x: Tensor, valid: Tensor) -> Tensor:
    """Return BatchNorm's output, by operations whose sizes are known when a step is captured."""
    mask = valid.unsqueeze(1)  # (B, 1, L)
    count = mask.sum().to(x.dtype)
    mean = torch.where(mask, x, 0).sum((0, 2)) / count  # (H)
    centred = x - mean.unsqueeze(1)
    variance = torch.where(mask, centred, 0).square().sum((0, 2)) / count
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), norm.momentum)
    gain = norm.weight * torch.rsqrt(variance + norm.eps)
    out: Tensor = centred * gain.unsqueeze(1) + norm.bias.unsqueeze(1)
    return out


@torch.compiler.disable  # type: ignore[untyped-decorator]
def normed_rows(norm: nn.Module, x: Tensor, valid: Tensor) -> Tensor:
    """Return a norm's output for the valid steps, 0 elsewhere: it is shown nothing else.

    So processes may have different numbers of them.
    """
    rows = x.transpose(1, 2)
    out = torch.zeros_like(rows)
    out[valid] = norm(rows[valid])
    return out.transpose(1, 2)


def pooled(features: Tensor, lengths: Tensor | None, pool: str) -> Tensor:
    """Return the pool (B, H) of the valid steps of features (B, H, L), see `ModelConfig.pool`.

    Of every step, pool "none": (B, L, H), whatever the lengths.
    """
    if pool == "none":
        return features.transpose(1, 2)
    if lengths is None:
        if pool == "mean":
            return features.mean(dim=-1)
        return features[..., -1] if pool == "last" else features.amax(dim=-1)
    if pool == "last":
        at = (lengths - 1).view(-1, 1, 1).expand(-1, features.shape[1], 1)
        return features.gather(2, at).squeeze(2)
    valid = valid_steps(lengths, features.shape[-1]).unsqueeze(1)
    if pool == "mean":
        return (features * valid).sum(dim=-1) / lengths.unsqueeze(1)
    return features.masked_fill(~valid, -math.inf).amax(dim=-1)
