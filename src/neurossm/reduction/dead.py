"""Channels that do nothing: no weight reads their spikes, or the spikes never change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from neurossm.arrays import BoolArray, FloatArray
from neurossm.models.binary_s4d import BinaryS4D
from neurossm.models.gsu import GSU
from neurossm.models.mixer import Mixer


@dataclass(frozen=True, eq=False)
class Dead:
    """Channels (H) that nothing reads, that never spike, and that always do."""

    unread: BoolArray
    silent: BoolArray
    constant: BoolArray

    @property
    def any(self) -> BoolArray:
        """Tell the channels that do nothing."""
        every: BoolArray = self.unread | self.silent | self.constant
        return every


def find_dead(mixer: Mixer, output: FloatArray | None) -> Dead:
    """Return a layer's dead channels, given the SSM's output (B, L, H) on data if there are any."""
    none = np.zeros(mixer.ssm.channels, bool)
    if isinstance(mixer, GSU):
        return Dead(_zero(mixer.weight.T, mixer.ternary_weight().T), none, none)
    dense = getattr(mixer, "dense", None)
    unread = none if dense is None else _zero(dense.weight)
    if not isinstance(mixer, BinaryS4D) or output is None:
        return Dead(unread, none, none)
    rate = (output > 0).mean(axis=(0, 1))
    return Dead(unread, (rate == 0) & ~unread, (rate == 1) & ~unread)


def _zero(*weights: torch.Tensor) -> BoolArray:
    """Tell the columns (H) of weights (O, H) that hold zeros alone."""
    both = [(weight == 0).all(dim=0).cpu().numpy() for weight in weights]
    found: BoolArray = np.logical_and.reduce(both)
    return found


@torch.no_grad()
def silence(mixer: Mixer, dead: Dead) -> None:
    """Set the weights that read dead channels to 0; the bias takes over what always came."""
    if isinstance(mixer, BinaryS4D):
        weight, bias = mixer.dense.weight, mixer.dense.bias
        always, never = (torch.from_numpy(part) for part in (dead.constant, dead.silent))
        bias.add_(weight[:, always].sum(dim=1))
        weight[:, always | never] = 0
