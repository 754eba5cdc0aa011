"""An operation's integers as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurossm.engine.bounds import ssm_is_exact
from neurossm.engine.gpu.arithmetic import Shift, integers
from neurossm.program import SSM, Interval, Table


@dataclass(frozen=True, eq=False)
class TableParameters:
    """Fields of a Table."""

    origin: int
    width: int
    base: Tensor
    slope: Tensor
    shift: Shift
    head: Tensor
    """Origin, width, and the shift in three parts."""

    @staticmethod
    def of(op: Table, device: torch.device) -> TableParameters:
        """Copy a Table's fields."""
        base, slope = integers(op.base, device), integers(op.slope, device)
        shift = Shift.by(op.slope_shift, device)
        start = integers([op.origin, op.width], device)
        head = torch.cat([start, torch.stack(shift.fields())])
        return TableParameters(op.origin, op.width, base, slope, shift, head)


@dataclass(frozen=True, eq=False)
class ModeParameters:
    """Fields of an SSM, (H, N) or (H), and the same as floats where these are exact.

    `floats` is (7, N, H): `a_re 2^-A`, `a_im 2^-A`, `2^k`, `2^-(A+1)`, `c_re 2^-m`, `c_im 2^-m`,
    `2^-(m+1)` (0 for m = 0, where nothing is rounded). What is to be rounded is a multiple of
    `2^-A`. Half of that more, it is never halfway between integers, and rounding to the nearest
    gives `floor(x + 1/2)`.
    """

    a_re: Tensor
    a_im: Tensor
    kick: Tensor
    pole: Shift
    c_re: Tensor
    c_im: Tensor
    readout: Shift
    d: Tensor
    direct: Shift
    floats: Tensor | None

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
            # One bit of the floats is for the nudge that makes halves round up.
            floats=_floats(op, device) if ssm_is_exact(op, u, spare_bits=1) else None,
        )


def _floats(op: SSM, device: torch.device) -> Tensor:
    readout_shift = np.broadcast_to(op.readout_shift[:, None], op.a_re.shape)
    nudge = np.where(readout_shift > 0, np.ldexp(1.0, -(readout_shift + 1)), 0.0)
    fields = [
        np.ldexp(op.a_re.astype(np.float64), -op.pole_shift),
        np.ldexp(op.a_im.astype(np.float64), -op.pole_shift),
        np.exp2(op.input_shift.astype(np.float64)),
        np.ldexp(np.ones(op.a_re.shape), -(op.pole_shift + 1)),
        np.ldexp(op.c_re.astype(np.float64), -readout_shift),
        np.ldexp(op.c_im.astype(np.float64), -readout_shift),
        nudge,
    ]
    stacked = np.ascontiguousarray(np.stack(fields).transpose(0, 2, 1))
    return torch.from_numpy(stacked).to(device)
