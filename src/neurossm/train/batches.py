"""Which samples come together in the batches of an epoch, and how many steps of them are read."""

from __future__ import annotations

import torch
from torch import Tensor

POOL = 50
"""Batches whose samples are drawn together, then sorted by their lengths."""


def epoch_batches(
    steps: Tensor, batch_size: int, bucket: int, generator: torch.Generator
) -> Tensor:
    """Return the samples of each batch of an epoch, an incomplete last batch left out.

    Parameters
    ----------
    steps
        Steps of each sample, (S,).
    batch_size
        Samples of a batch.
    bucket
        0: batches of samples in random order. Otherwise samples of like lengths come together:
        those of some 50 random batches are sorted, then the batches of the epoch are shuffled.
    generator
        Decides the order.

    Returns
    -------
    torch.Tensor
        int64 (batches, batch_size).
    """
    order = torch.randperm(len(steps), generator=generator)
    count = len(steps) // batch_size
    order = order[: count * batch_size]
    if bucket:
        pools = order.split(POOL * batch_size)
        order = torch.cat([pool[steps[pool].argsort(stable=True)] for pool in pools])
    batches = order.reshape(count, batch_size)
    return batches[torch.randperm(count, generator=generator)] if bucket else batches


def bucket_steps(longest: int, bucket: int, whole: int) -> int:
    """Return how many steps of a batch are read: the least multiple of `bucket` that holds it.

    Parameters
    ----------
    longest
        Steps of the longest sample in the batch.
    bucket
        Steps; 0: the whole sequence is read.
    whole
        Steps of the arrays, never exceeded.
    """
    return min(whole, -(-longest // bucket) * bucket) if bucket else whole
