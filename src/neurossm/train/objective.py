"""What training minimises, and what a network is judged by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.models.network import Network
from neurossm.models.valid import valid_steps
from neurossm.train.tasks import Samples


def loss_of(model: nn.Module, batch: Samples, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of a network's logits over a batch, a scalar.

    Where every step has a label, each sample counts by the mean over its own steps, so that parts
    of a batch, and processes that share it, have the batch's loss as their mean.
    """
    logits = model(batch.x, batch.lengths)
    if not batch.each:
        loss: Tensor = F.cross_entropy(logits, batch.y, label_smoothing=label_smoothing)
        return loss
    every = F.cross_entropy(
        logits.flatten(0, 1), batch.y.flatten(), label_smoothing=label_smoothing, reduction="none"
    ).view_as(batch.y)
    if batch.lengths is None:
        return every.mean()
    valid = valid_steps(batch.lengths, every.shape[1])
    return (every.masked_fill(~valid, 0.0).sum(dim=1) / batch.lengths).mean()


MOST_STEPS = 1 << 19
"""Steps of all samples that are classified together, so that a batch of long ones fits a GPU."""

_CUT = 256
"""Batches of samples that end early are cut to a multiple of so many steps."""


class RatePenalty:
    """Share of spikes above a target, and what it costs.

    Parameters
    ----------
    model
        Its mixers note their rates from now on.
    target, weight
        The share that costs nothing, and the cost of an excess of 1 in all layers.

    Attributes
    ----------
    rates
        Share of spikes (layers) the last time.
    """

    def __init__(self, model: Network, target: float, weight: float) -> None:
        self.mixers = [block.mixer for block in model.blocks]
        self.target, self.weight = target, weight
        self.rates = next(model.parameters()).new_zeros(len(self.mixers))
        for mixer in self.mixers:
            mixer.rates = []

    def take(self) -> Tensor:
        """Return the penalty of what was noted since the last time, and forget it."""
        rates = torch.stack([torch.stack(mixer.rates or []).mean() for mixer in self.mixers])
        for mixer in self.mixers:
            mixer.rates = []
        self.rates.copy_(rates.detach())  # in place: steps are captured
        penalty: Tensor = self.weight * (rates - self.target).clamp_min(0).mean()
        return penalty


@torch.no_grad()
def predict(
    model: Network, x: Tensor, batch_size: int = 500, lengths: Tensor | None = None
) -> Tensor:
    """Return the classes (S,), or (S, L), that a network in evaluation mode gives to raw inputs.

    Samples that end early are taken by their lengths, and read as far as the longest of a batch.
    """
    model.eval()
    size = max(1, min(batch_size, MOST_STEPS // x.shape[1]))
    if lengths is None:
        return torch.cat([model(part).argmax(dim=-1) for part in x.split(size)])
    order = lengths.argsort()
    each = model.config.pool == "none"
    classes = lengths.new_zeros(x.shape[:2] if each else x.shape[:1])
    for chosen in order.split(size):
        read = min(x.shape[1], -(-int(lengths[chosen[-1]]) // _CUT) * _CUT)
        found = model(x[chosen, :read], lengths[chosen]).argmax(dim=-1)
        if each:
            classes[chosen, :read] = found
        else:
            classes[chosen] = found
    return classes


def count_right(model: Network, samples: Samples, batch_size: int = 500) -> int:
    """Return how many samples, or steps, a network classifies correctly, in full precision."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        predicted = predict(model, samples.x, batch_size, samples.lengths)
        right = predicted == samples.y
        if samples.each:
            right &= valid_steps(samples.steps(), right.shape[1])
        return int(right.sum())
    finally:
        torch.set_float32_matmul_precision(precision)


def accuracy(model: Network, samples: Samples, batch_size: int = 500) -> float:
    """Return the share of samples, or steps, that a network classifies correctly."""
    return count_right(model, samples, batch_size) / samples.answers
