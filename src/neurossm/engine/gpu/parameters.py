"""An operation's integers as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurossm.derive.exactness import ssm_is_exact
from neurossm.engine.gpu.arithmetic import Shift, integers, shift_parts
from neurossm.program import SSM, Interval, Table


@dataclass(frozen=True, eq=False)
class TableParameters:
    """Fields of a Table."""

    origin: int
    width: int
    base: Tensor
    slope: Tensor
    shift: Shift

    @staticmethod
    def of(op: Table, device: torch.device) -> TableParameters:
        """Copy a Table's fields."""
        base, slope = integers(op.base, device), integers(op.slope, device)
        shift = Shift.by(op.slope_shift, device)
        return TableParameters(op.origin, op.width, base, slope, shift)


@dataclass(frozen=True, eq=False)
class ModeParameters:
    """Fields of an SSM, (H, N) or (H), and the same as floats where these are exact."""

    a_re: Tensor
    a_im: Tensor
    kick: Tensor
    pole: Shift
    c_re: Tensor
    c_im: Tensor
    readout: Shift
    d: Tensor
    direct: Shift
    floats: FloatModes | None

    @staticmethod
    def of(op: SSM, u: Interval, device: torch.device) -> ModeParameters:
        """Copy an SSM's fields; `u` bounds its input."""
        return ModeParameters(
            a_re=integers(op.a_re, device),
            a_im=integers(op.a_im, device),
            kick=integers(op.pole_shift + op.input_shift, device),
            pole=Shift.by(op.pole_shift, device),
            c_re=integers(op.c_re, device),
            c_im=integers(op.c_im, device),
            readout=Shift.by(op.readout_shift[:, None], device),
            d=integers(op.d, device),
            direct=Shift.by(op.d_shift, device),
            floats=FloatModes.of(op, u, device),
        )


@dataclass(frozen=True, eq=False)
class FloatModes:
    """An SSM's parameters as the kernel `recur` reads them.

    With `A = pole_shift`, `k = input_shift`, `m = readout_shift`: `modes` (H, N, 5) are
    `a_re 2^-A`, `a_im 2^-A`, `2^k`, `c_re 2^-m`, `c_im 2^-m`. What is to be rounded is a multiple
    of `2^-A`, or of `2^-m`; half of the finest of a channel more, it is never halfway between
    integers, and rounding to the nearest gives `floor(x + 1/2)`. `nudges` (2, H) are these halves:
    `2^-(max A + 1)` for the states, `2^-(m + 1)` for the readout (0 where nothing is rounded).
    `direct` (4, H) int64 are d and its shift in three parts.
    """

    modes: Tensor
    nudges: Tensor
    direct: Tensor

    @staticmethod
    def of(op: SSM, u: Interval, device: torch.device) -> FloatModes | None:
        """Return the parameters, None where floats of 64 bits would not be exact."""
        finest = op.pole_shift.max(axis=1, keepdims=True)
        if not ssm_is_exact(op, u, finest - op.pole_shift + 1, finer_readout=1):
            return None
        m = op.readout_shift
        readout_shift = np.broadcast_to(m[:, None], op.a_re.shape)
        fields = [
            np.ldexp(op.a_re.astype(np.float64), -op.pole_shift),
            np.ldexp(op.a_im.astype(np.float64), -op.pole_shift),
            np.exp2(op.input_shift.astype(np.float64)),
            np.ldexp(op.c_re.astype(np.float64), -readout_shift),
            np.ldexp(op.c_im.astype(np.float64), -readout_shift),
        ]
        nudges = [
            np.ldexp(1.0, -(finest[:, 0] + 1)),
            np.where(m > 0, np.ldexp(1.0, -(m + 1)), 0.0),
        ]
        return FloatModes(
            torch.from_numpy(np.stack(fields, axis=-1)).to(device),
            torch.from_numpy(np.stack(nudges)).to(device),
            integers(np.stack([op.d, *shift_parts(op.d_shift)]), device),
        )
