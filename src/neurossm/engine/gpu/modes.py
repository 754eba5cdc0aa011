"""An SSM's integers as the hand-written kernel `recur` reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurossm.derive.exactness import ssm_is_exact
from neurossm.engine.gpu.arithmetic import integers
from neurossm.program import SSM, Interval, Op
from neurossm.program.arithmetic import shift_parts


@dataclass(frozen=True, eq=False)
class FloatModes:
    """An SSM's parameters as floats of 64 bits.

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
    state_bits: int

    @staticmethod
    def of(op: Op, u: Interval, device: torch.device) -> FloatModes | None:
        """Return the parameters for inputs in `u`, None where floats would not be exact.

        None, too, for any operation but an SSM.
        """
        if not isinstance(op, SSM):
            return None
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
            op.state_bits,
        )
