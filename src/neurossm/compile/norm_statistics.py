"""Give a BatchNorm the statistics that make its output have the trained network's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.graph import BatchNormNode
from neurossm.naming import part_of
from neurossm.program.program import Approximation

_RATIO = 4.0
"""A channel's deviation is corrected by no more than this factor."""


@dataclass
class Moments:
    """Sums over time steps, channel by channel, from which mean and deviation follow."""

    steps: int = 0
    total: FloatArray | float = 0.0
    squares: FloatArray | float = 0.0

    def add(self, values: FloatArray) -> None:
        """Add values (steps, H)."""
        self.steps += len(values)
        self.total = self.total + values.sum(axis=0)
        self.squares = self.squares + np.einsum("th,th->h", values, values)

    @property
    def mean(self) -> FloatArray:
        """Mean (H)."""
        return np.asarray(self.total) / self.steps

    @property
    def deviation(self) -> FloatArray:
        """Standard deviation (H)."""
        variance = np.asarray(self.squares) / self.steps - self.mean**2
        deviation: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        return deviation


def restored(
    node: BatchNormNode, trained: Moments, now: Moments, samples: int
) -> tuple[BatchNormNode, Approximation]:
    """Return the norm for an input that is no longer what it was trained on.

    With the input's mean `m` and deviation `s` in the trained network and `m'`, `s'` now, it reads
    `(x - m') s / s' + m` in the place of `x`, which only changes its own mean and variance. The
    error is the largest shift of a channel's mean that is taken away, in deviations.

    Parameters
    ----------
    node
        The norm as trained.
    trained, now
        Of its input.
    samples
        How many they were taken over, for the description.
    """
    usable = (trained.deviation > 0) & (now.deviation > 0)
    unit = np.where(usable, trained.deviation, 1.0)
    ratio = np.clip(np.where(usable, now.deviation / unit, 1.0), 1 / _RATIO, _RATIO)  # s' / s
    shift = np.where(usable, np.abs(now.mean - trained.mean) / unit, 0.0)
    mean = now.mean + (node.mean - trained.mean) * ratio
    variance = (node.var + node.eps) * ratio**2 - node.eps
    return replace(node, mean=mean, var=variance), Approximation(
        part_of(node.name, "statistics"),
        f"mean and variance taken anew over {samples} samples behind static thresholds, which "
        f"shift its input by {np.median(shift):.2g} deviations (median channel) and scale it by "
        f"{ratio.min():.3g} to {ratio.max():.3g}",
        float(shift.max()),
    )
