"""Which static threshold's spikes tell most of what the trained network's spikes told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray

_SCALES = np.geomspace(4.0, 0.25, 33)
"""Multiples of a dynamic threshold's mean that are tried, 9 % apart."""
_FIRST_STEPS = 2_000
"""About so many steps judge all thresholds; all judge those near the best."""
_NEAR = 2
"""So many thresholds to either side are near."""
_DAMPING = 1e-3
"""Share of the mean variance added to every spike's own: keeps rare spikes from explaining much."""


def best_scale(target: FloatArray, weight: FloatArray, y: FloatArray, mean: float) -> float:
    """Return the multiple of the mean whose spikes of y leave the least of the target unexplained.

    Of equals the largest, as a larger threshold means fewer spikes.
    """
    every = max(1, len(y) // _FIRST_STEPS)
    few = _explained_by(_SCALES * mean, target[::every], weight[::every], y[::every])
    best = int(np.argmax(few))
    if every > 1:
        near = range(max(0, best - _NEAR), min(len(_SCALES), best + _NEAR + 1))
        few = _explained_by(_SCALES[near.start : near.stop] * mean, target, weight, y)
        best = near[int(np.argmax(few))]
    # No spikes, or always the same ones, explain nothing: then the mean is as good as any.
    return float(_SCALES[best]) if max(few) > 0.0 else 1.0


def _explained_by(
    thresholds: FloatArray, target: FloatArray, weight: FloatArray, y: FloatArray
) -> list[float]:
    """Return how much of the target the spikes of each threshold explain, in single precision."""
    weight = weight if weight.any() else np.ones(len(weight))
    share = (weight / weight.sum()).astype(np.float32)
    root = np.sqrt(weight / weight.mean())[:, None].astype(np.float32)  # (steps, 1)
    wanted = root * (target - np.average(target, axis=0, weights=weight)).astype(np.float32)
    explained = []
    for threshold in thresholds:
        spikes = (y > threshold).astype(np.float32)
        spikes -= y < -threshold
        spikes -= share @ spikes
        spikes *= root
        explained.append(_explained(wanted, spikes))
    return explained


def _explained(target: NDArray[np.float32], spikes: NDArray[np.float32]) -> float:
    """Return how much of the target's sum of squares a linear map of the spikes explains."""
    own = (spikes.T @ spikes).astype(np.float64)  # (H, H)
    shared = (spikes.T @ target).astype(np.float64)  # (H, O)
    damping = _DAMPING * np.trace(own) / len(own)
    if damping == 0.0:  # no spike, or always the same ones
        return 0.0
    solution = np.linalg.solve(own + damping * np.eye(len(own)), shared)
    return float((shared * solution).sum())
