"""Fit what remains: the weights of given poles, and the poles themselves by gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurossm.arrays import BoolArray, FloatArray
from neurossm.models.response import Response
from neurossm.reduction.response import basis, gram

_RATE = 0.05
"""Of Adam, in units of each mode's bandwidth."""
_LEAST_DECAY = 1e-5


def fitted(
    exact: Response, power: FloatArray, length: int, kept: BoolArray, steps: int
) -> Response:
    """Return the response of fewer modes that is nearest to `exact`, for inputs of such power.

    Parameters
    ----------
    exact
        With all modes, (H, N).
    power
        Of the input, (H, L // 2 + 1).
    length
        L.
    kept
        Modes (H, N) that remain.
    steps
        Of gradient descent by which the remaining poles move; the best found are taken.

    Returns
    -------
    Response
        As wide as the channel with most modes; absent ones stand last, with pole and weight 0.
    """
    weight = torch.from_numpy(power)
    own = torch.from_numpy(exact.coefficients)
    wanted = (own.unsqueeze(-1) * basis(torch.from_numpy(exact.poles), weight, length)).sum(dim=1)
    counts = kept.sum(axis=1)
    width = max(int(counts.max(initial=0)), 1)
    first = np.argsort(~kept, axis=1, kind="stable")[:, :width]
    there = np.arange(width) < counts[:, None]  # (H, width)
    poles = np.where(there, np.take_along_axis(exact.poles, first, axis=1), 0)
    task = _Task(torch.from_numpy(there), weight, wanted, length)
    moved = task.moved(torch.from_numpy(poles), steps) if steps else torch.from_numpy(poles)
    found = task.best_fit(task.rows(moved))[..., 0].numpy()
    pairs = found[:, :-1].reshape(len(poles), width, 2) * there[..., None]
    return Response(moved.numpy(), pairs[..., 0] + 1j * pairs[..., 1], found[:, -1])


@dataclass(frozen=True, eq=False)
class _Task:
    """Which modes are there (H, N), the input's power (H, K), and the output's rows (H, 2 K)."""

    there: Tensor
    power: Tensor
    wanted: Tensor
    length: int

    def rows(self, poles: Tensor) -> Tensor:
        """Return the functions (H, 2 N + 1, 2 K) of the modes that are there, and the impulse."""
        pairs = self.there.repeat_interleave(2, dim=1)
        mask = torch.cat([pairs, torch.ones_like(pairs[:, :1])], dim=1)
        return basis(poles, self.power, self.length) * mask.unsqueeze(-1)

    @torch.no_grad()
    def best_fit(self, rows: Tensor) -> Tensor:
        """Return the coefficients (H, J, 1) of least error."""
        found: Tensor = torch.linalg.solve(gram(rows), rows @ self.wanted.unsqueeze(-1))
        return found

    def error(self, poles: Tensor) -> Tensor:
        """Return the square error (H) of the best fit.

        There it does not change with the coefficients: its gradient is that of the poles.
        """
        rows = self.rows(poles)
        rest = self.wanted - (self.best_fit(rows) * rows).sum(dim=1)
        return rest.square().sum(dim=-1)

    def moved(self, poles: Tensor, steps: int) -> Tensor:
        """Return better poles: decay and frequency of each mode descend the error."""
        logs = torch.log(torch.where(self.there, poles, 0.5 * torch.ones_like(poles)))
        decay, turn = (-logs.real).clamp_min(_LEAST_DECAY), logs.imag
        slower = torch.zeros_like(decay, requires_grad=True)
        further = torch.zeros_like(decay, requires_grad=True)
        optimizer = torch.optim.Adam([slower, further], lr=_RATE)
        best, chosen = torch.full(decay.shape[:1], torch.inf, dtype=torch.float64), poles
        for step in range(steps + 1):
            now = torch.polar(
                torch.exp(-(decay * torch.exp(slower)).clamp_min(_LEAST_DECAY)),
                turn + decay * further,
            )
            error = self.error(now)
            better = error.detach() < best
            best = torch.where(better, error.detach(), best)
            chosen = torch.where(better[:, None] & self.there, now.detach(), chosen)
            optimizer.param_groups[0]["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizer.zero_grad()
            (error / best.clamp_min(1e-300)).sum().backward()
            optimizer.step()
        return chosen
