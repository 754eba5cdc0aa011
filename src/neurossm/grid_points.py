"""Integer poles: which point of a grid stands for an exact pole, on NumPy arrays or tensors alike.

The compiler puts poles on the grid with NumPy, quantisation-aware training with PyTorch: one code.
"""

from __future__ import annotations

from typing import Any

FINEST = 24
"""Most fractional bits of a pole: keeps products with wide states within exact double precision."""
_OFFSETS = (-1.0, 0.0, 1.0, 2.0)


def nearest_poles(exact: Any, bits: int, margin_log2: int, xp: Any) -> tuple[Any, Any, Any, Any]:
    """Put poles (...) on integer grids, each as fine as `bits` bits allow.

    Of the 16 grid points around the exact pole (moved into the allowed disc if it lies outside) the
    one is taken whose impulse response differs least, see `response_distance`.

    Parameters
    ----------
    exact
        Complex in double precision.
    bits, margin_log2
        Width, and how near to the unit circle a pole may be: `1 / (1 - |q|) <= 2**margin_log2`.
    xp
        The module of the arrays: `numpy` or `torch`.

    Returns
    -------
    a_re, a_im, pole_shift, found
        Whole numbers in double precision, for the poles `(a_re + i a_im) / 2**pole_shift`, and
        whether any point was allowed.
    """
    largest = 1 - 2.0**-margin_log2
    inward = xp.clip(largest / xp.clip(abs(exact), 1e-300, None), None, 1.0)
    centre = exact * inward
    offset = xp.maximum(abs(1 - centre.real), abs(centre.imag))
    fine = xp.floor(xp.log2(((1 << (bits - 1)) - 4) / xp.clip(offset, 1e-300, None)))
    shift = xp.clip(fine, float(bits - 1), float(max(FINEST, bits - 1)))
    scale = xp.exp2(shift)
    at_re, at_im = xp.floor((centre * scale).real), xp.floor((centre * scale).imag)
    re = xp.stack([at_re + i for i in _OFFSETS for _ in _OFFSETS], -1)  # (..., 16)
    im = xp.stack([at_im + j for _ in _OFFSETS for j in _OFFSETS], -1)
    scale = scale[..., None]
    allowed = re**2 + im**2 <= (largest * scale) ** 2
    distance = response_distance((re + 1j * im) / scale, exact[..., None], xp)
    best = xp.where(allowed, distance, float("inf")).argmin(-1)[..., None]
    a_re, a_im = (_taken(part, best, xp) for part in (re, im))
    return a_re, a_im, shift, allowed.any(-1)


def response_distance(q: Any, p: Any, xp: Any) -> Any:
    """Return `sum_t |q^t - p^t|^2` over all t >= 0; infinite for |q| >= 1."""
    inside = abs(q) < 1
    q = xp.where(inside, q, 0)
    distance = 1 / (1 - abs(q) ** 2) + 1 / (1 - abs(p) ** 2) - 2 * (1 / (1 - q * xp.conj(p))).real
    return xp.where(inside, distance, float("inf"))


def _taken(values: Any, index: Any, xp: Any) -> Any:
    """Return the values (...) at an index of the last axis, (..., 1)."""
    take = getattr(xp, "take_along_dim", None) or xp.take_along_axis
    return take(values, index, -1)[..., 0]
