"""Calls of the Triton kernels, where Triton is installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from neurossm.engine.gpu.arithmetic import Stored
from neurossm.engine.gpu.chain import Chain
from neurossm.engine.gpu.modes import FloatModes
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
    return FusedKernels(importlib.import_module("neurossm.engine.gpu.kernels"))


@dataclass(frozen=True)
class FusedKernels:
    """Chains and scans of operations, products of bytes and recurrences, one kernel each."""

    jit: Any

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
            chain.narrow,
            chain.wide,
            counts,
            rows,
            PLAN=tuple(tuple(entry) for entry in chain.plan),
            KEEP=chain.keep,
            CLIPS=tuple(tuple(clip) for clip in chain.clips),
            H=chain.channels,
            BH=block,
            ROWS=height,
            num_warps=warps,
            enable_fp_fusion=True,
        )
        return outputs

    def scan(self, chain: Chain, x: list[Tensor], states: list[Tensor], counts: Tensor) -> Tensor:
        """Run an operation over (B, T, H); its states, each (B, H), are replaced."""
        samples, steps, _ = x[0].shape
        channels = chain.channels
        y = torch.empty((samples, steps, channels), dtype=chain.dtypes[0], device=x[0].device)
        block = _power_of_two(channels)
        if not chain.has_statistics:
            block = min(WARP, block)
        self.jit.scan[(samples, -(-channels // block))](
            tuple(x),
            y,
            tuple(states),
            chain.narrow,
            chain.wide,
            counts,
            steps,
            PLAN=tuple(tuple(entry) for entry in chain.plan),
            LEAVES=chain.leaves,
            KEEP=chain.keep[0],
            FOLLOWING=chain.following,
            CLIPS=tuple(tuple(clip) for clip in chain.clips),
            H=channels,
            BH=block,
            num_warps=1,
            enable_fp_fusion=True,
        )
        return y

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
            enable_fp_fusion=True,
        )
        return y

    def recur(
        self,
        u: Tensor,
        p: FloatModes,
        states: list[Tensor],
        state_count: Tensor | None,
        output: Stored,
    ) -> Tensor:
        """Run an SSM over (B, T, H); its states, real and imaginary (B, H, N), are replaced."""
        samples, steps, channels = u.shape
        modes = p.modes.shape[1]
        width = _power_of_two(modes)
        lanes = min(WARP, -(-width // MODES))
        y = torch.empty(u.shape, dtype=output.dtype, device=u.device)
        clips = output.count is not None
        self.jit.recur[(samples, -(-channels * lanes // WARP))](
            u,
            y,
            *states,
            p.modes,
            p.nudges,
            p.direct,
            steps,
            _counter(state_count, u),
            _counter(output.count, u),
            H=channels,
            N=modes,
            STATE_LIMIT=0 if state_count is None else 1 << (p.state_bits - 1),
            LIMIT=1 << (output.bits - 1) if clips else 0,
            WIDE=clips or output.dtype == torch.int64,
            BH=WARP // lanes,
            R=width // lanes,
            S=lanes,
            num_warps=1,
            enable_fp_fusion=True,
        )
        return y


def _power_of_two(number: int) -> int:
    """Return the least power of 2 that is not less."""
    return 1 << (number - 1).bit_length()


def _counter(count: Tensor | None, x: Tensor) -> Tensor:
    """Return where to count; anything for no clip."""
    return torch.empty(1, dtype=torch.int64, device=x.device) if count is None else count
