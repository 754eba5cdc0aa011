"""The operations as Triton kernels, where Triton is installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from neurossm.engine.gpu.arithmetic import Clip, Shift
from neurossm.engine.gpu.parameters import ModeParameters, TableParameters
from neurossm.engine.gpu.plain import PlainKernels
from neurossm.errors import MissingDependencyError

OLDEST = 3
"""Older releases of Triton are not tested."""
BLOCK = 1024
TILE = 128
"""Modes of one program: one warp, four modes in the registers of each thread."""


def available() -> bool:
    """Tell whether Triton is installed in a release that the kernels are tested with."""
    try:
        return int(version("triton").partition(".")[0]) >= OLDEST
    except PackageNotFoundError:
        return False


def fused_kernels() -> FusedKernels:
    """Return the kernels.

    Raises
    ------
    MissingDependencyError
        Triton is not installed, or too old.
    """
    if not available():
        raise MissingDependencyError(
            f"fused kernels need Triton {OLDEST} or newer, which comes with PyTorch for Linux "
            '(2.4 or newer); install it, or use kernels="plain"'
        )
    return FusedKernels(jit=importlib.import_module("neurossm.engine.gpu.kernels"))


@dataclass(frozen=True)
class FusedKernels(PlainKernels):
    """One kernel for each operation; LayerNorm, and what floats cannot hold, are PyTorch's."""

    scratch_bytes: int = 0
    jit: Any = None

    def affine(
        self,
        x: Tensor,
        gain: Tensor,
        shift: Shift,
        offset: Tensor,
        clip: Clip | None,
        dtype: torch.dtype,
    ) -> Tensor:
        """Compute `sat(rshift(gain x, shift) + offset)`."""
        fields = torch.stack([gain, *shift.fields(), offset])
        out = torch.empty(x.shape, dtype=dtype, device=x.device)
        self.jit.affine[_grid(x)](
            x,
            out,
            fields,
            x.numel(),
            *_ends(clip, x),
            H=x.shape[-1],
            CLIP=bool(clip),
            BLOCK=BLOCK,
        )
        return out

    def threshold(
        self, x: Tensor, threshold: Tensor, *, ternary: bool, dtype: torch.dtype
    ) -> Tensor:
        """Compute 1 where x exceeds the threshold and, if ternary, -1 below its negative."""
        out = torch.empty(x.shape, dtype=dtype, device=x.device)
        self.jit.threshold[_grid(x)](
            x, out, threshold, x.numel(), H=x.shape[-1], TERNARY=ternary, BLOCK=BLOCK
        )
        return out

    def table(
        self, x: Tensor, table: TableParameters, clip: Clip | None, dtype: torch.dtype
    ) -> Tensor:
        """Compute `sat(base[i] + rshift(slope[i] dx, q))`."""
        out = torch.empty(x.shape, dtype=dtype, device=x.device)
        self.jit.table[_grid(x)](
            x,
            out,
            table.base,
            table.slope,
            table.head,
            x.numel(),
            *_ends(clip, x),
            S=len(table.base),
            CLIP=bool(clip),
            BLOCK=BLOCK,
        )
        return out

    def product(
        self, x: Tensor, y: Tensor, shift: Shift, clip: Clip | None, dtype: torch.dtype
    ) -> Tensor:
        """Compute `sat(rshift(x y, shift))`."""
        out = torch.empty(x.shape, dtype=dtype, device=x.device)
        fields = torch.stack(shift.fields())
        self.jit.product[_grid(x)](
            x,
            y,
            out,
            fields,
            x.numel(),
            *_ends(clip, x),
            H=x.shape[-1],
            CLIP=bool(clip),
            BLOCK=BLOCK,
        )
        return out

    def add(self, x: Tensor, y: Tensor, clip: Clip | None, dtype: torch.dtype) -> Tensor:
        """Compute `sat(x + y)`."""
        out = torch.empty(x.shape, dtype=dtype, device=x.device)
        self.jit.add[_grid(x)](x, y, out, x.numel(), *_ends(clip, x), CLIP=bool(clip), BLOCK=BLOCK)
        return out

    def recur(
        self,
        u: Tensor,
        p: ModeParameters,
        states: Tensor,
        clips: tuple[Clip | None, Clip | None],
        dtype: torch.dtype,
        recorded: Tensor | None = None,
    ) -> Tensor:
        """Run an SSM over (B, T, H) in one kernel, where floats are exact."""
        if p.floats is None or recorded is not None:
            return super().recur(u, p, states, clips, dtype, recorded)
        samples, steps, channels = u.shape
        modes = p.a_re.shape[1]
        width = 1 << (modes - 1).bit_length()
        height = max(1, TILE // width)
        y = torch.empty(u.shape, dtype=dtype, device=u.device)
        self.jit.recur[(samples, -(-channels // height))](
            u,
            y,
            states.transpose(2, 3),
            p.floats,
            torch.stack([p.d, *p.direct.fields()]),
            steps,
            *_ends(clips[0], u),
            *_ends(clips[1], u),
            samples,
            H=channels,
            N=modes,
            CLIP_STATES=bool(clips[0]),
            CLIP=bool(clips[1]),
            BH=height,
            BN=width,
            num_warps=max(1, height * width // TILE),
        )
        return y


def _grid(x: Tensor) -> tuple[int]:
    return (-(-x.numel() // BLOCK),)


def _ends(clip: Clip | None, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest integer, and where to count; anything for no clip."""
    # Not as numbers: Triton takes a float for one of 32 bits, and an integer 1 for a constant.
    if clip is None:
        nothing = torch.zeros(2, dtype=torch.int64, device=x.device)
        return nothing, nothing
    return clip.ends, clip.count
