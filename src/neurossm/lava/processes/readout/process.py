"""Readout: the sum over time of a sample, decoded at its last step."""

from __future__ import annotations

from collections.abc import Iterable
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

from neurossm import program as ops
from neurossm.lava.schedule import Schedule
from neurossm.lava.stepping import Member
from neurossm.lava.stream import StreamModel


class ReadoutProcess(AbstractProcess):  # type: ignore[misc]
    """Decodes the mean over the steps of a sample; `logits` holds the last sample's.

    Port: `a_in` (H). Variables: `total` (H), the sum so far, and `logits` (classes).

    Parameters
    ----------
    members
        The Readout of an integer program, or the Mean of a float graph and what follows it.
    channels
        H.
    schedule
        Where samples begin and end.
    trace
        Files to write to, by name: the last member's are the logits, one row for each sample; that
        of what it reads is what arrived.
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        channels: int,
        schedule: Schedule,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        chosen = tuple(members)
        super().__init__(members=chosen, schedule=schedule, trace=trace, name=name)
        classes = channels
        for member in chosen:
            if isinstance(member, ops.Op):
                classes = member.out.channels
            else:
                classes = member.channels(classes)
        self.counters = (chosen[-1].name,) if isinstance(chosen[-1], ops.Readout) else ()
        self.a_in = InPort(shape=(channels,))
        self.total = Var(shape=(channels,), init=0)
        self.logits = Var(shape=(classes,), init=0)
        self.saturations = Var(shape=(1,), init=0)


class _ReadoutModel(StreamModel):
    def decode(self, steps: int) -> NDArray[Any]:
        """Return the logits (classes) of `total` over so many steps."""
        raise NotImplementedError

    def advance(self, position: int | None) -> None:
        """Add one vector to the sum; decode at the end of a sample."""
        x = self.a_in.recv()
        if position is None:
            return
        members = self.proc_params["members"]
        self.trace(position, {members[0].inputs[0]: x})
        if self.schedule.begins(position):
            self.total[:] = 0
        self.total += x
        if self.schedule.ends(position):
            sample = self.schedule.sample(position)
            self.logits[:] = self.decode(self.schedule.steps(sample))
            self.trace(sample, {members[-1].name: self.logits})


@implements(proc=ReadoutProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutFixed(_ReadoutModel):
    """Integers: an exact sum of 64 bits, rounded once."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    total: Any = LavaPyType(np.ndarray, np.int64)
    logits: Any = LavaPyType(np.ndarray, np.int64)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def decode(self, steps: int) -> NDArray[Any]:
        """Decode integers."""
        (readout,) = self.proc_params["members"]
        tally = ops.Tally()
        logits: NDArray[Any] = readout.decode(self.total[None], steps, tally)[0]
        self.saturations += sum(tally.values())
        return logits


@implements(proc=ReadoutProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ReadoutFloating(_ReadoutModel):
    """Real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    total: Any = LavaPyType(np.ndarray, float)
    logits: Any = LavaPyType(np.ndarray, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def decode(self, steps: int) -> NDArray[Any]:
        """Decode real numbers."""
        mean, *rest = self.proc_params["members"]
        values: dict[str, Any] = {mean.name: self.total[None] / steps}
        for node in rest:
            values[node.name] = node.apply(*(values[name] for name in node.inputs))
        logits: NDArray[Any] = values[self.proc_params["members"][-1].name][0]
        return logits
