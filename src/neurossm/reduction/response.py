"""Impulse responses of a layer as spectra, weighted by what its input holds.

A channel's response over L steps is `K_t = sum_n Re(w_n p_n^t) + D [t = 0]`: a sum of 2 N + 1 real
functions of time, `Re p^t`, `-Im p^t` and the impulse, with real coefficients. Their discrete
Fourier transforms are known in closed form, `sum_(t<L) p^t z^t = (1 - p^L) / (1 - p z)` at the L-th
roots of one. With the mean power S of the layer's input at each frequency, the mean square error of
the output is that of the spectra weighted by S.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurossm.arrays import FloatArray

WHITE = 0.02
"""Share of the weight spread over all frequencies: data to come may hold what these do not."""
_RIDGE = 1e-9
"""Share of each function's energy by which near-equal functions are told apart."""


def power_spectrum(drive: FloatArray) -> FloatArray:
    """Return the mean power (H, L // 2 + 1) of inputs (B, L, H), of mean 1 over frequencies."""
    power = (np.abs(np.fft.rfft(drive, axis=1)) ** 2).mean(axis=0).T  # (H, K)
    return normalised(power, drive.shape[1])


def normalised(power: FloatArray, length: int) -> FloatArray:
    """Return powers scaled to mean 1 over all frequencies, some of it spread evenly."""
    both = sides(length)
    mean = (power * both).sum(axis=1, keepdims=True) / length
    mixed: FloatArray = (1 - WHITE) * power / np.where(mean > 0, mean, 1) + WHITE
    return mixed


def sides(length: int) -> FloatArray:
    """Return how often each frequency (L // 2 + 1) of a real signal counts: with its mirror."""
    both = np.full(length // 2 + 1, 2.0)
    both[0] = 1
    if length % 2 == 0:
        both[-1] = 1
    return both


def basis(poles: Tensor, power: Tensor, length: int) -> Tensor:
    """Return the weighted functions of a layer as real rows (H, 2 N + 1, 2 K), K frequencies.

    Their products are those of the functions' contributions to the output, so that sums of squares
    of rows are mean square errors.

    Parameters
    ----------
    poles
        Complex128 (H, N).
    power
        Of the input, (H, K) with K = L // 2 + 1.
    length
        L.
    """
    scale = torch.sqrt(power * torch.from_numpy(sides(length)) / length).unsqueeze(1)  # (H, 1, K)
    turn = torch.exp(-2j * torch.pi * torch.arange(scale.shape[-1]).double() / length)

    def spectrum(p: Tensor) -> Tensor:
        whole: Tensor = (1 - p**length).unsqueeze(-1) / (1 - p.unsqueeze(-1) * turn)
        return whole

    one, other = spectrum(poles), spectrum(poles.conj())  # (H, N, K)
    pairs = torch.stack([(one + other) / 2, (one - other) * 0.5j], dim=2).flatten(1, 2) * scale
    impulse = torch.cat([scale, torch.zeros_like(scale)], dim=-1)
    return torch.cat([torch.cat([pairs.real, pairs.imag], dim=-1), impulse], dim=1)


def gram(functions: Tensor) -> Tensor:
    """Return all products (H, J, J) of rows (H, J, 2 K), each function's own raised a little."""
    products: Tensor = functions @ functions.mT
    own = products.diagonal(dim1=-2, dim2=-1)
    own.mul_(1 + _RIDGE).add_(1e-30)
    return products
