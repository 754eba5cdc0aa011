"""Player: streams recorded data into the network, one row per step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neurossm.errors import InputError
from neurossm.lava.ports import Sender
from neurossm.lava.schedule import Schedule
from neurossm.lava.stream import StreamModel, StreamProcess
from neurossm.program import Interval


class Player(StreamProcess):
    """Sends row t of `data` at step t + 1, and zeros after the last row.

    Unlike Lava's own source it refuses values that the wire would truncate or wrap.

    Parameters
    ----------
    data : array or path
        (steps, channels), or the path of a `.npy` file that holds it, which is read row by row.
    interval : Interval, optional
        What the messages may be (fixed_pt only); by default signed integers of 32 bits.
    tensor : str, optional
        Name of what is sent.
    trace : dict, optional
        Files to write to, by name: `tensor` the rows sent, "" one row, the time step.
    name : str, optional
        Name of the process.

    Ports
    -----
    s_out
        (channels), a row of the data.

    Vars
    ----
    begin
        The data begin anew with the next step when it is set to 1, which `reset` does.
    """

    def __init__(
        self,
        *,
        data: NDArray[Any] | str | Path,
        interval: Interval | None = None,
        tensor: str = "data",
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        rows = _rows(data)
        if rows.ndim != 2:
            raise InputError(f"{name}: data of shape {rows.shape}, expected (steps, channels)")
        channels = rows.shape[1]
        super().__init__(
            data=data,
            interval=interval or Interval.of_bits(32, channels),
            tensor=tensor,
            trace=trace,
            schedule=Schedule(valid_steps=rows.shape[0]),
            name=name,
        )
        self.s_out = Sender(channels)


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
        if "" in self.traces:
            self.traces[""][0] = self.time_step
        if position is None:
            self.s_out.send(self.silence)
            return
        row = self.rows[position]
        self.check(row)
        self.trace(position, {self.proc_params["tensor"]: row})
        self.s_out.send(row)


@implements(proc=Player, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PlayerFixed(_PlayerModel):
    """Integers of a fixed range."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.interval: Interval = proc_params["interval"]
        if self.rows.dtype.kind not in "iub":
            raise InputError(f"data of type {self.rows.dtype}; the fixed_pt model needs integers")

    def check(self, row: NDArray[Any]) -> None:
        """Raise InputError if a value is outside what is declared."""
        self.interval.check(row)


@implements(proc=Player, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PlayerFloating(_PlayerModel):
    """Real numbers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
