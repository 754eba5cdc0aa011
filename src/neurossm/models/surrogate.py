"""Spikes with a surrogate gradient.

Forward: ``H(z) = 1`` if ``z > 0`` else ``0``. Backward: ``dH/dz = 1 / (25 |z| + 1)^2``, the fast
sigmoid of snnTorch with slope 25, which the paper uses (Stan & Rhodes 2024, section Methods).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SLOPE = 25.0


class _Heaviside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return torch.heaviside(z, z.new_zeros(()))  # 0 at z = 0

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        z: Tensor = ctx.saved_tensors[0]
        return grad / (SLOPE * z.abs() + 1.0).square()


def spike(z: Tensor) -> Tensor:
    """Return ``H(z)``: 1 where z is above 0, else 0, in the type of z.

    Parameters
    ----------
    z
        Membrane values minus threshold, any shape.
    """
    result: Tensor = _Heaviside.apply(z)  # type: ignore[no-untyped-call]
    return result


def ternary(z: Tensor, threshold: Tensor) -> Tensor:
    """Return ``T_d(z) = H(z - d) - H(-z - d)``: +1, 0 or -1.

    Parameters
    ----------
    z
        Values, any shape.
    threshold
        d, not negative, of a shape that broadcasts against z. Gradients flow into it.
    """
    return spike(z - threshold) - spike(-z - threshold)
