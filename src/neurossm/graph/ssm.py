"""The diagonal state-space model as a node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray, freeze
from neurossm.errors import InputError
from neurossm.graph.node import Node


@dataclass(frozen=True, eq=False)
class SSM(Node):
    """Diagonal state-space model, discretised.

    `s_t = A_bar s_{t-1} + B_bar u_t`, `y_t = 2 Re(sum_n C_n s_{t,n}) + D u_t`, `s_{-1} = 0`,
    with `A_bar`, `B_bar`, `C` complex (H, N) and `D` (H). Stable: every `|A_bar| < 1`.
    """

    A_bar: ComplexArray
    B_bar: ComplexArray
    C: ComplexArray
    D: FloatArray

    def __post_init__(self) -> None:
        """Check shapes and stability."""
        super().__post_init__()
        freeze(self, "A_bar", np.complex128, (None, None))
        for field in ("B_bar", "C"):
            freeze(self, field, np.complex128, self.A_bar.shape)
        freeze(self, "D", np.float64, self.A_bar.shape[:1])
        radius = np.abs(self.A_bar)
        if (radius >= 1).any():
            h, n = np.unravel_index(int(radius.argmax()), radius.shape)
            raise InputError(
                f"{self.name}: pole of channel {h}, mode {n} has |A_bar| = {radius[h, n]:.9g}; "
                "a stable SSM needs |A_bar| < 1"
            )

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], self.A_bar.shape[0])
        return sizes[0]
