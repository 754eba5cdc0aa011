"""Which blocks run as Triton kernels, and how their parts are put together."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from neurossm.models.binary_s4d import BinaryS4D
from neurossm.models.block import Block
from neurossm.models.gsu import GSU, StaticThreshold
from neurossm.models.ssm import discretise_layers
from neurossm.models.valid import normed

OLDEST = 3, 4
"""Older releases of Triton are not tested."""
MOST_MODES = 32
"""Complex modes of a channel whose tables fit a multiprocessor."""
WIDEST = 128
"""Channels of a mixer whose matrices fit a multiprocessor; wider ones run as modules."""


def usable(hidden: Tensor, modes: int) -> bool:
    """Tell whether the kernels can work on such activations, with so many modes per channel."""
    suited = hidden.is_cuda and hidden.dtype == torch.float32 and modes <= MOST_MODES
    return suited and not torch.is_autocast_enabled() and has_triton()


def has_triton() -> bool:
    """Tell whether a release of Triton is installed that the kernels are tested with."""
    try:
        major, minor = version("triton").split(".")[:2]
    except PackageNotFoundError:
        return False
    return (int(major), int(minor)) >= OLDEST


def run_blocks(
    blocks: Sequence[Block], final: nn.Module, hidden: Tensor, valid: Tensor | None = None
) -> Tensor:
    """Return what blocks and a final norm, in training mode, make of (B, H, L).

    Statistics count the steps that valid (B, L) names, the first ones of each sequence; None: all.
    """
    batch, _, length = hidden.shape
    lengths = hidden.new_full((batch,), length, dtype=torch.int64)
    if valid is not None:
        lengths = valid.sum(dim=1)
    a_bar, weight = discretise_layers([block.mixer.ssm for block in blocks])
    for block, poles, readout in zip(blocks, a_bar, weight, strict=True):
        hidden = _run_block(block, hidden, poles, readout, lengths, valid)
    return _norm(final, hidden, lengths, valid)


def _run_block(
    block: Block, x: Tensor, a_bar: Tensor, weight: Tensor, lengths: Tensor, valid: Tensor | None
) -> Tensor:
    scan = _kernels("scan")
    direct = block.mixer.ssm.direct().to(x.dtype)
    if not block.prenorm or isinstance(block.norm, nn.Identity):
        y, residual = scan.normed_response(x, None, a_bar, weight, direct)
    elif _follows_batch(block.norm):
        y, residual = scan.normed_response(x, block.norm, a_bar, weight, direct, lengths)
    else:
        residual, own = x, _norm(block.norm, x, lengths, valid)
        y, _ = scan.normed_response(own, None, a_bar, weight, direct)
    block.mixer.note_rate(y, valid)
    out = _mix(block, y, residual, valid)
    if not block.prenorm:
        out = _norm(block.norm, out, lengths, valid)
    return out


def _norm(norm: nn.Module, x: Tensor, lengths: Tensor, valid: Tensor | None) -> Tensor:
    if _follows_batch(norm):
        result: Tensor = _kernels("norm").batch_norm(x.contiguous(), norm, lengths)
        return result
    return normed(norm, x, valid).contiguous()


def _follows_batch(norm: nn.Module) -> bool:
    """Tell whether a norm is a BatchNorm that uses and averages the statistics of the batch."""
    usual = isinstance(norm, nn.BatchNorm1d) and norm.training and norm.affine
    return usual and norm.track_running_stats and norm.momentum is not None


def _mix(block: Block, y: Tensor, residual: Tensor, valid: Tensor | None) -> Tensor:
    """Return ``residual + dropout(mixer(y))``."""
    mixer, dropout = block.mixer, block.dropout.p if block.dropout.training else 0.0
    result: Tensor
    if y.shape[1] > WIDEST:
        result = residual + block.dropout(mixer.mix(y, valid))
    elif isinstance(mixer, BinaryS4D):
        weight, bias = mixer.mixing_weight(), mixer.dense.bias
        result = _kernels("gated").gated_spikes(y, residual, weight, bias, dropout)
    elif _is_plain_gsu(mixer):
        threshold = mixer.threshold(y.transpose(1, 2), valid)
        result = _kernels("unit").gated_unit(
            y, residual, threshold, mixer.mixing_weight(), mixer.ternary_weight(), mixer.bias,
            mixer.norm,
            mixer.activation == "gelu", dropout,
        )  # fmt: skip
    else:
        result = residual + block.dropout(mixer.mix(y, valid))
    return result


def _is_plain_gsu(mixer: nn.Module) -> bool:
    usual = isinstance(mixer, GSU) and isinstance(mixer.threshold, StaticThreshold)
    return usual and isinstance(mixer.norm, nn.LayerNorm)


def _kernels(name: str) -> Any:
    return importlib.import_module(f"neurossm.models.fused.{name}")
