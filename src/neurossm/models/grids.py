"""The compiler's integer grids in the forward pass of training, with straight-through gradients.

A parameter on a grid is used as the nearest value that the program can hold; its gradient goes to
the parameter itself. `neurossm.train.qat` puts grids on a network and takes them from the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neurossm.grid_points import nearest_poles


def through(exact: Tensor, used: Tensor) -> Tensor:
    """Return `used`, with the gradient of `exact`."""
    return exact + (used - exact).detach()


def on_grid(exact: Tensor, unit: Tensor, limit: int) -> Tensor:
    """Return the nearest multiples of units within +-limit of them, halves up; straight through."""
    steps = torch.floor(exact / unit + 0.5).clamp(-limit, limit)
    return through(exact, steps * unit)


def rows_on_grid(weight: Tensor, limit: int | None) -> Tensor:
    """Return weights (O, I) on the grids whose largest step is each row's largest weight.

    `limit` is that step's number; None: as they are.
    """
    if limit is None:
        return weight
    largest = weight.detach().abs().amax(dim=1, keepdim=True)
    unit = torch.where(largest > 0, largest / limit, torch.ones_like(largest))
    return on_grid(weight, unit, limit)


@dataclass(eq=False)
class GateTable:
    """A function as line segments of equal width from `start` on, the outer ones endless.

    Attributes
    ----------
    start, width
        Left end of the first segment, and of how much each is.
    base, slope
        (segments) value at each left end, and slope.
    """

    start: float
    width: float
    base: Tensor
    slope: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return the function of x."""
        last = self.base.numel() - 1
        index = torch.floor((x.detach() - self.start) / self.width).clamp(0, last)
        left = self.start + index * self.width
        place = index.long()
        return self.base[place] + self.slope[place] * (x - left)


@dataclass(eq=False)
class SSMGrid:
    """Grids of one SSM.

    Attributes
    ----------
    pole_bits, pole_margin_log2
        As in the compiler's options.
    unit
        Of the weights `2 C B_bar`, (H, N) float64: what one step of the integer C is worth.
    direct_unit
        Of D, (H).
    limit
        Largest integer of C and D.
    """

    pole_bits: int
    pole_margin_log2: int
    unit: Tensor
    direct_unit: Tensor
    limit: int

    def poles(self, a_bar: Tensor) -> Tensor:
        """Return poles (H, N) where the program has them."""
        with torch.no_grad():
            re, im, shift, _ = nearest_poles(
                a_bar.detach(), self.pole_bits, self.pole_margin_log2, torch
            )
            used = torch.complex(re, im) * torch.exp2(-shift)
        return through(a_bar, used)

    def weights(self, weight: Tensor) -> Tensor:
        """Return weights ``B_bar C`` (H, N) as the program has them."""
        pairs, unit = torch.view_as_real(2 * weight), self.unit.unsqueeze(-1)
        return torch.view_as_complex(on_grid(pairs, unit, self.limit)) / 2

    def direct(self, d: Tensor) -> Tensor:
        """Return D (H) as the program has it."""
        return on_grid(d.double(), self.direct_unit, self.limit)
