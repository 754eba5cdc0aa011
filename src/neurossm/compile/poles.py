"""Put poles on the integer grid: inside the unit circle, and where the response changes least."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import ComplexArray, IntArray
from neurossm.errors import LimitError

_OFFSETS = np.arange(-1, 3)


def quantise_poles(
    A_bar: ComplexArray, pole_shift: int, margin_log2: int, where: str
) -> tuple[IntArray, IntArray]:
    """Return integer poles `(a_re, a_im)`, (H, N), standing for `(a_re + i a_im) / 2**pole_shift`.

    Every pole `q` obeys `1 / (1 - |q|) <= 2**margin_log2`. Of the 16 grid points around the exact
    pole (moved to the allowed disc if it lies outside) the one is taken whose impulse response
    differs least: `sum_t |q^t - p^t|^2`, in closed form
    `1 / (1 - |q|^2) + 1 / (1 - |p|^2) - 2 Re(1 / (1 - q conj(p)))`.

    Raises
    ------
    LimitError
        The grid is so coarse that no point near a pole is allowed.
    """
    scale = 2.0**pole_shift
    largest = (1 - 2.0**-margin_log2) * scale
    radius = np.abs(A_bar) * scale
    inward = np.minimum(1.0, largest / np.maximum(radius, 1e-300))
    centre = A_bar * inward * scale
    re = np.floor(centre.real)[..., None, None] + _OFFSETS[:, None]
    im = np.floor(centre.imag)[..., None, None] + _OFFSETS
    re, im = (part.reshape(*A_bar.shape, -1) for part in np.broadcast_arrays(re, im))  # (H, N, 16)
    allowed = re**2 + im**2 <= largest**2
    if not allowed.any(axis=-1).all():
        h, n = np.argwhere(~allowed.any(axis=-1))[0]
        raise LimitError(
            f"{where}: no stable {pole_shift + 1}-bit pole near that of channel {h}, mode {n}; "
            "use wider poles"
        )
    difference = response_distance((re + 1j * im) / scale, A_bar[..., None])
    best = np.where(allowed, difference, np.inf).argmin(axis=-1)[..., None]
    pick = tuple(
        np.take_along_axis(part, best, axis=-1)[..., 0].astype(np.int64) for part in (re, im)
    )
    return pick[0], pick[1]


def response_distance(q: ComplexArray, p: ComplexArray) -> np.ndarray:
    """Return `sum_t |q^t - p^t|^2` over all t >= 0; infinite for |q| >= 1."""
    inside = np.abs(q) < 1
    q = np.where(inside, q, 0)
    distance = (
        1 / (1 - np.abs(q) ** 2) + 1 / (1 - np.abs(p) ** 2) - 2 * (1 / (1 - q * np.conj(p))).real
    )
    return np.where(inside, distance, np.inf)


def refit_residue(C: ComplexArray, p: ComplexArray, q: ComplexArray) -> ComplexArray:
    """Return the `C'` for which `C' q^t` is nearest to `C p^t` in least squares over all t >= 0."""
    return C * (1 - np.abs(q) ** 2) / (1 - p * np.conj(q))
