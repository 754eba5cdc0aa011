"""Random distortions of images that are read as sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Bounds of the random distortion; each value is drawn uniformly for each image.

    Attributes
    ----------
    shift_pixels
        Translation along each axis.
    rotation_degrees, shear_degrees
        Angles, either way.
    scale
        Relative change of size.
    """

    shift_pixels: float = 0.0
    rotation_degrees: float = 0.0
    shear_degrees: float = 0.0
    scale: float = 0.0


def distort(
    x: Tensor,
    side: int,
    bounds: Augmentation,
    order: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return distorted images, bytes again.

    Parameters
    ----------
    x
        uint8 (B, side * side, 1).
    side
        Height and width in pixels.
    bounds
        How far images may be distorted.
    order
        Which pixel, counted row by row, x has at each step; None: row by row.
    generator
        Of the random numbers, on the device of x.
    """
    batch = len(x)
    rows = x if order is None else x[:, order.argsort()]
    images = rows.view(batch, 1, side, side).float()
    draw = 2.0 * torch.rand(batch, 5, device=x.device, generator=generator) - 1.0  # in [-1, 1)
    grid = F.affine_grid(_affine(draw, side, bounds), [batch, 1, side, side], False)
    moved = F.grid_sample(images, grid, "bilinear", "zeros", False)
    distorted = moved.round().clamp(0, 255).to(torch.uint8).view_as(x)
    return distorted if order is None else distorted[:, order]


def _affine(draw: Tensor, side: int, bounds: Augmentation) -> Tensor:
    angle = draw[:, 0] * math.radians(bounds.rotation_degrees)
    shear = torch.tan(draw[:, 1] * math.radians(bounds.shear_degrees))
    scale = 1.0 + draw[:, 2] * bounds.scale
    shift = draw[:, 3:] * (2.0 * bounds.shift_pixels / side)  # the grid spans 2 units
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    top = torch.stack([cos, cos * shear - sin, shift[:, 0]], dim=1)
    bottom = torch.stack([sin, sin * shear + cos, shift[:, 1]], dim=1)
    return torch.stack([top, bottom], dim=1)  # (B, 2, 3)
