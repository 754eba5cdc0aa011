"""The functions with which S4 code keeps dt and ``-Re A`` positive, and their logarithms."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from neurossm.errors import UnsupportedError

POSITIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "none": lambda x: x,
    "relu": lambda x: F.relu(x) + 1e-4,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
}
"""The positive number that a stored one stands for."""
TRANSFORMS = tuple(POSITIVE)


def log_of(transform: str, stored: Tensor, key: str) -> Tensor:
    """Return the logarithm of the positive number that a stored one stands for.

    The stored tensor itself for ``exp``; else float64, because rounding a pole back to float32
    would change the function.

    Raises
    ------
    UnsupportedError
        If the number is not positive.
    """
    if transform == "exp":
        return stored
    if transform == "sigmoid":
        return F.logsigmoid(stored.double())
    positive = POSITIVE[transform](stored.double())
    if not bool((positive > 0).all()):
        raise UnsupportedError(
            f"{key}: {float(positive.min()):g} under transform {transform}, must be positive for "
            "a pole inside the unit circle"
        )
    return torch.log(positive)
