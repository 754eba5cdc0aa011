"""A small synthetic task of tokens."""

from __future__ import annotations

import torch

from neurossm.models.config import InputSpec
from neurossm.train.tasks.samples import Samples, Task


def token_order(length: int = 64, vocabulary: int = 8, samples: int = 4096) -> Task:
    """Return a synthetic task: which of two marker tokens comes first in a stream of others.

    Tokens 0 and 1 appear once each; the label is 1 if token 1 comes first. The same samples every
    time; an eighth each is held out and kept for the test.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, vocabulary, (samples, length), generator=generator)
    places = torch.rand(samples, length, generator=generator).argsort(dim=1)[:, :2]
    x.scatter_(1, places, torch.tensor([0, 1]).expand(samples, 2))
    y = (places[:, 1] < places[:, 0]).long()
    eighth = samples // 8
    test, held_out, train = (
        Samples(x, y).take(part)
        for part in (slice(eighth), slice(eighth, 2 * eighth), slice(2 * eighth, None))
    )
    return Task("token-order", InputSpec.tokens(vocabulary), 2, train, held_out, test)
