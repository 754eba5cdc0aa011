"""Player: streams recorded data into the network, one row per step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neurossm.errors import InputError
from neurossm.lava.fixed import limits
from neurossm.lava.schedule import Schedule
from neurossm.lava.stream import StreamModel


class Player(AbstractProcess):  # type: ignore[misc]
    """Sends row t of `data` at step t + 1, and zeros after the last row.

    Unlike Lava's own source it refuses values that the wire would truncate or wrap.

    Parameters
    ----------
    data
        (steps, channels), or the path of a `.npy` file that holds it, which is read row by row.
    bits
        Width of the messages as signed integers (fixed_pt only), at most 32.
    trace
        Files to write tensors to, by role: `s` (the rows sent), `clock` (one row: the time step).
    """

    def __init__(
        self,
        *,
        data: NDArray[Any] | str | Path,
        bits: int = 32,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        rows = _rows(data)
        if rows.ndim != 2:
            raise InputError(f"{name}: data of shape {rows.shape}, expected (steps, channels)")
        schedule = Schedule(valid_steps=rows.shape[0])
        super().__init__(data=data, bits=bits, trace=trace, schedule=schedule, name=name)
        self.s_out = OutPort(shape=(rows.shape[1],))


def _rows(data: NDArray[Any] | str | Path) -> NDArray[Any]:
    if isinstance(data, np.ndarray):
        return data
    rows: NDArray[Any] = np.load(data, mmap_mode="r")
    return rows


class _PlayerModel(StreamModel):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.rows = _rows(proc_params["data"])
        self.silence = np.zeros(self.rows.shape[1], self.rows.dtype)

    def check(self, row: NDArray[Any]) -> None:
        """Raise InputError if the wire cannot carry the row."""

    def advance(self, position: int | None) -> None:
        """Send the next row, or zeros after the last."""
        if "clock" in self.traces:
            self.traces["clock"][0] = self.time_step
        if position is None:
            self.s_out.send(self.silence)
            return
        row = self.rows[position]
        self.check(row)
        self.trace(position, s=row)
        self.s_out.send(row)


@implements(proc=Player, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PlayerFixed(_PlayerModel):
    """Integers of a fixed width."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.limits = limits(proc_params["bits"])
        if self.rows.dtype.kind not in "iub":
            raise InputError(f"data of type {self.rows.dtype}; the fixed_pt model needs integers")

    def check(self, row: NDArray[Any]) -> None:
        """Raise InputError if a value is wider than the messages."""
        low, high = self.limits
        if row.min() < low or row.max() > high:
            raise InputError(
                f"value {row.min() if row.min() < low else row.max()} does not fit "
                f"{self.proc_params['bits']} bits, [{low}, {high}]"
            )


@implements(proc=Player, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PlayerFloating(_PlayerModel):
    """Real numbers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
