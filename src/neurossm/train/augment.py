"""Random changes of training samples: distorted images, dropped tokens, cut sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from neurossm.errors import InputError
from neurossm.train.tasks import Samples, Task


@dataclass(frozen=True)
class Augmentation:
    """How far samples are changed; each value is drawn uniformly for each sample.

    The first five are of images alone. 0: without.

    Attributes
    ----------
    shift_pixels
        Translation along each axis.
    rotation_degrees, shear_degrees
        Angles, either way.
    scale
        Relative change of size.
    mirror
        Probability that an image is mirrored, left to right.
    token_dropout
        Share of the tokens that are replaced by token 0.
    crop
        Largest share of a sample's steps that is left out, at its ends.
    """

    shift_pixels: float = 0.0
    rotation_degrees: float = 0.0
    shear_degrees: float = 0.0
    scale: float = 0.0
    mirror: float = 0.0
    token_dropout: float = 0.0
    crop: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < math.inf:  # NaN, too
                raise InputError(f"{field.name}: {value} must not be negative")
        for name in ("mirror", "token_dropout", "crop"):
            if getattr(self, name) > (1 if name == "mirror" else 0.99):
                raise InputError(f"{name}: {getattr(self, name)} is too large a share")

    @property
    def distorts(self) -> bool:
        """Whether images are changed."""
        moved = (self.shift_pixels, self.rotation_degrees, self.shear_degrees, self.scale)
        return any((*moved, self.mirror))

    def check(self, task: Task) -> None:
        """Refuse what cannot be done to a task's samples.

        Raises
        ------
        InputError
            If images are to be mirrored or tokens dropped where there are none.
        """
        if self.mirror and task.image_side is None:
            raise InputError(f"mirror: the samples of {task.name} are no images")
        if self.token_dropout and task.input.kind != "tokens":
            raise InputError(f"token_dropout: the samples of {task.name} are no tokens")


def augmented(
    samples: Samples,
    task: Task,
    bounds: Augmentation,
    order: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Samples:
    """Return randomly changed training samples of a task.

    Parameters
    ----------
    samples
        Of the task.
    task
        What they are.
    bounds
        How far they may be changed.
    order
        The task's order of pixels, on the samples' device.
    generator
        Of the random numbers, on that device.
    """
    if task.image_side is not None and bounds.distorts:
        samples = replace(samples, x=distort(samples.x, task.image_side, bounds, order, generator))
    if bounds.token_dropout:
        x = samples.x
        dropped = torch.rand(x.shape, device=x.device, generator=generator) < bounds.token_dropout
        samples = replace(samples, x=x.masked_fill(dropped, 0))
    return cropped(samples, bounds.crop, generator) if bounds.crop else samples


def cropped(samples: Samples, share: float, generator: torch.Generator | None = None) -> Samples:
    """Return a random stretch of each sample, of at least ``1 - share`` of its steps."""
    x, steps = samples.x, samples.steps()
    draw = torch.rand(2, len(steps), device=x.device, generator=generator)
    kept = (steps * (1.0 - share * draw[0])).ceil().long().clamp(min=1).minimum(steps)
    first = ((steps - kept + 1) * draw[1]).long()  # from 0 to steps - kept
    at = first[:, None] + torch.arange(x.shape[1], device=x.device)
    at = at.clamp(max=x.shape[1] - 1)
    index = at if x.ndim == 2 else at[:, :, None].expand(x.shape)
    return replace(samples, x=x.gather(1, index), lengths=kept)


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
    affine = _affine(draw, side, bounds)
    if bounds.mirror:
        turned = torch.rand(batch, device=x.device, generator=generator) < bounds.mirror
        affine[:, 0] *= torch.where(turned, -1.0, 1.0)[:, None]
    grid = F.affine_grid(affine, [batch, 1, side, side], False)
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
