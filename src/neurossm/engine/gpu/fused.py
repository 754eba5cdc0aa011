"""The operations as Triton kernels, where Triton is installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from neurossm.engine.gpu.arithmetic import Clip
from neurossm.engine.gpu.parameters import ModeParameters
from neurossm.engine.gpu.plain import PlainKernels
from neurossm.engine.gpu.stages import Chain
from neurossm.errors import MissingDependencyError

OLDEST = 3, 4
"""Older releases of Triton are not tested."""
THREAD = 16
"""Integers of a chain in one thread."""
WARPS = 4
"""Of one program of a chain."""
ROWS = 128
"""Rows of one program of a matrix product."""
WARP = 32
MODES = 8
"""Modes in the registers of one thread."""


def available() -> bool:
    """Tell whether Triton is installed in a release that the kernels are tested with."""
    try:
        major, minor = version("triton").split(".")[:2]
    except PackageNotFoundError:
        return False
    return (int(major), int(minor)) >= OLDEST


def fused_kernels() -> FusedKernels:
    """Return the kernels.

    Raises
    ------
    MissingDependencyError
        Triton is not installed, or too old.
    """
    if not available():
        oldest = ".".join(map(str, OLDEST))
        raise MissingDependencyError(
            f"fused kernels need Triton {oldest} or newer, which comes with PyTorch for Linux "
            '(2.8 or newer); install it, or use kernels="plain"'
        )
    return FusedKernels(jit=importlib.import_module("neurossm.engine.gpu.kernels"))


@dataclass(frozen=True)
class FusedKernels(PlainKernels):
    """Chains of pointwise operations, products of bytes and recurrences, one kernel each.

    What these cannot do is PyTorch's.
    """

    scratch_bytes: int = 0
    fuses: bool = True
    jit: Any = None

    def pointwise(self, chain: Chain, x: list[Tensor], counts: Tensor) -> list[Tensor]:
        """Compute a chain's outputs; `counts` are all counters of the program."""
        shape = (*x[0].shape[:2], chain.channels)
        outputs = [torch.empty(shape, dtype=dtype, device=x[0].device) for dtype in chain.dtypes]
        rows = shape[0] * shape[1]
        block = _power_of_two(chain.channels)
        # Statistics of a row are computed by every thread that has a part of it: one warp has few.
        warps = max(1, min(WARPS, block // (THREAD * WARP))) if chain.has_statistics else WARPS
        height = max(1, warps * WARP * THREAD // block)
        self.jit.pointwise[(-(-rows // height),)](
            tuple(x),
            tuple(outputs),
            chain.fields,
            chain.constants,
            counts,
            rows,
            PLAN=chain.plan,
            WIDE=chain.wide,
            KEEP=chain.keep,
            H=chain.channels,
            BH=block,
            ROWS=height,
            num_warps=warps,
        )
        return outputs

    def multiply(self, x: Tensor, weight: Tensor, pieces: int, dtype: torch.dtype) -> Tensor:
        """Multiply x (B, T, K) by bytes (H, K), exactly; x has at most 7 bits per piece."""
        channels, width = weight.shape
        y = torch.empty((*x.shape[:2], channels), dtype=dtype, device=x.device)
        rows = x.shape[0] * x.shape[1]
        block = min(128, max(16, _power_of_two(channels)))
        self.jit.multiply[(-(-rows // ROWS), -(-channels // block))](
            x,
            weight,
            y,
            rows,
            K=width,
            H=channels,
            PIECES=pieces,
            BM=ROWS,
            BK=min(128, max(32, _power_of_two(width))),
            BH=block,
            num_warps=8,
        )
        return y

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
        width = _power_of_two(modes)
        lanes = min(WARP, -(-width // MODES))
        y = torch.empty(u.shape, dtype=dtype, device=u.device)
        state_clip, clip = clips
        self.jit.recur[(samples, -(-channels * lanes // WARP))](
            u,
            y,
            states,
            p.floats.modes,
            p.floats.nudges,
            p.floats.direct,
            steps,
            samples,
            _counter(state_clip, u),
            _counter(clip, u),
            H=channels,
            N=modes,
            STATE_LIMIT=_limit(state_clip),
            LIMIT=_limit(clip),
            WIDE=bool(clip) or dtype == torch.int64,
            BH=WARP // lanes,
            R=width // lanes,
            S=lanes,
            num_warps=1,
        )
        return y


def _power_of_two(number: int) -> int:
    """Return the least power of 2 that is not less."""
    return 1 << (number - 1).bit_length()


def _limit(clip: Clip | None) -> int:
    return 1 << (clip.bits - 1) if clip else 0


def _counter(clip: Clip | None, x: Tensor) -> Tensor:
    """Return where to count; anything for no clip."""
    return clip.count if clip else torch.empty(1, dtype=torch.int64, device=x.device)
