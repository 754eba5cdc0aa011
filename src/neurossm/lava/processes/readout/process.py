"""Readout: the sum over time of a sample, decoded at its last step."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neurossm.lava import fixed, floating
from neurossm.lava.parameters import Decoder
from neurossm.lava.record import require_integers
from neurossm.lava.schedule import Schedule
from neurossm.lava.stream import StreamModel


class Readout(AbstractProcess):  # type: ignore[misc]
    """`logits = W mean_t(x_t) + b`, with one rounding; `logits` holds the last sample's.

    Port: `x_in` (H). Variables: `total` (H), `logits` (classes).

    Parameters
    ----------
    decoder
        Weight (classes, H), bias (classes), shift and width of the logits.
    schedule
        Where samples begin and end; a sample has `reset_period` steps.
    trace
        Files to write tensors to, by role: `logits`, one row for each sample.
    """

    counted = ("logits",)

    def __init__(
        self,
        *,
        decoder: Decoder,
        schedule: Schedule,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(decoder=decoder, schedule=schedule, trace=trace, name=name)
        classes, channels = np.shape(decoder.weight)
        self.x_in = InPort(shape=(channels,))
        self.total = Var(shape=(channels,), init=0)
        self.logits = Var(shape=(classes,), init=0)
        self.saturations = Var(shape=(len(self.counted),), init=0)


class _ReadoutModel(StreamModel):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.decoder: Decoder = proc_params["decoder"]

    def decode(self, steps: int) -> NDArray[Any]:
        """Return the logits (classes) of `total` over so many steps."""
        raise NotImplementedError

    def advance(self, position: int | None) -> None:
        """Add one vector to the sum; decode at the end of a sample."""
        x = self.x_in.recv()
        if position is None:
            return
        if self.schedule.begins(position):
            self.total[:] = 0
        self.total += x
        if self.schedule.ends(position):
            period = self.schedule.reset_period
            self.logits[:] = self.decode(period)
            self.trace(position // period, logits=self.logits)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutFixed(_ReadoutModel):
    """Integers: an exact sum of 64 bits, rounded once."""

    x_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    total: Any = LavaPyType(np.ndarray, np.int64)
    logits: Any = LavaPyType(np.ndarray, np.int64)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        require_integers(self.decoder)

    def decode(self, steps: int) -> NDArray[Any]:
        """Decode integers."""
        logits, saturated = fixed.decode(self.decoder, self.total, steps)
        self.saturations += saturated
        return logits


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ReadoutFloating(_ReadoutModel):
    """Real numbers."""

    x_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    total: Any = LavaPyType(np.ndarray, float)
    logits: Any = LavaPyType(np.ndarray, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def decode(self, steps: int) -> NDArray[Any]:
        """Decode real numbers."""
        return floating.decode(self.decoder, self.total, steps)
