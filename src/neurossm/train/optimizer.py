"""AdamW with a peak learning rate per group, and the schedule that scales all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from neurossm.train.config import TrainConfig

SSM_PARAMETERS = ("log_dt", "A_real_log", "A_imag", "B")


def schedule_factor(kind: str, progress: float, warmup: float) -> float:
    """Return the share of the peak learning rate at ``progress`` in [0, 1]."""
    if progress < warmup:
        share = progress / warmup
        if kind == "one-cycle":
            return 0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * share))
        return share
    if kind == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))


def make_optimizer(model: nn.Module, config: TrainConfig, fused: bool) -> torch.optim.AdamW:
    """Return AdamW with three groups: SSM parameters, vectors, and everything else.

    Parameters that need no gradient are left out.
    """
    ssm: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.rpartition(".")[2] in SSM_PARAMETERS:
            ssm.append(parameter)
        else:
            (plain if parameter.ndim < 2 else decayed).append(parameter)
    device = next(model.parameters()).device
    groups = []
    for parameters, peak, decay in (
        (ssm, config.ssm_lr, 0.0),
        (plain, config.lr, 0.0),
        (decayed, config.lr, config.weight_decay),
    ):
        # A captured step reads the rate from memory, so there it must be a tensor.
        rate = torch.tensor(0.0, device=device) if fused else 0.0
        groups.append({"params": parameters, "lr": rate, "peak": peak, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=fused, capturable=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's learning rate to a share of its peak."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(group["peak"] * factor)
        else:
            group["lr"] = group["peak"] * factor
