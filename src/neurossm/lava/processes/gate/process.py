"""Gate: lets numbers pass that a network can take."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurossm.lava.ports import Receiver, Sender
from neurossm.lava.schedule import Schedule
from neurossm.lava.stream import StreamModel, StreamProcess
from neurossm.program import Interval


class Gate(StreamProcess):
    """Passes on what arrives, in the same step, and refuses what is out of range.

    What is proved of the integers behind it holds only of what is in range. Outside of samples it
    sends zeros.

    Parameters
    ----------
    channels : int
        Number of channels.
    interval : Interval, optional
        What the messages may be (fixed_pt only); by default signed integers of 32 bits.
    schedule : Schedule, optional
        When samples pass.
    name : str, optional
        Name of the process.

    Ports
    -----
    a_in, s_out
        (channels).
    """

    def __init__(
        self,
        channels: int,
        *,
        interval: Interval | None = None,
        schedule: Schedule | None = None,
        name: str | None = None,
    ) -> None:
        chosen = interval or Interval.of_bits(32, channels)
        super().__init__(interval=chosen, schedule=schedule or Schedule(), name=name)
        self.a_in = Receiver(channels)
        self.s_out = Sender(channels, chosen.bits)


class _GateModel(StreamModel):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.interval: Interval = proc_params["interval"]

    def advance(self, position: int | None) -> None:
        """Pass on one row."""
        row = self.a_in.recv()
        if position is None:
            row = np.zeros_like(row)
        self.check(row)
        self.s_out.send(row)

    def check(self, row: Any) -> None:
        """Raise InputError if a value is outside what is declared."""


@implements(proc=Gate, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GateFixed(_GateModel):
    """Integers of a fixed range."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)

    def check(self, row: Any) -> None:
        """Raise InputError if a value is outside what is declared."""
        self.interval.check(row)


@implements(proc=Gate, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class GateFloating(_GateModel):
    """Real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
