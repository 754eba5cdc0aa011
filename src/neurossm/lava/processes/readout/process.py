"""Readout: what is pooled over the time of a sample, decoded at its last step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neurossm import program as ops
from neurossm.lava.ports import Receiver, Sender
from neurossm.lava.schedule import Schedule
from neurossm.lava.stepping import Member
from neurossm.lava.stream import StreamModel, StreamProcess


class ReadoutProcess(StreamProcess):
    """Decodes what is pooled over the steps of a sample, at its last step.

    Parameters
    ----------
    members : iterable of operations or nodes
        The Readout of an integer program, or the pool of a float graph and what follows it.
    channels : int
        Number H of the channels that arrive.
    schedule : Schedule
        Where samples begin and end.
    trace : dict, optional
        Files to write to, by name: the last member's are the logits, one row for each sample, or
        for each step where every step has its own; that
        of what it reads is what arrived.
    name : str, optional
        Name of the process.

    Ports
    -----
    a_in
        (H), what is pooled.
    s_out
        (classes), the logits at the last step of a sample, zeros at all others; where every step
        has logits, those.

    Vars
    ----
    total
        (H), the sum so far, or what the readout keeps in its place.
    logits
        (classes), of the last sample that ended.
    saturations
        How many logits were clipped.
    begin
        Samples begin anew with the next step when it is set to 1, which `reset` does.
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
        self.a_in = Receiver(channels)
        self.s_out = Sender(classes, _bits(chosen[-1]))
        self.total = Var(shape=(channels,), init=0)
        self.logits = Var(shape=(classes,), init=0)
        self.saturations = Var(shape=(1,), init=0)


def _bits(decoder: Member) -> int | None:
    return decoder.out.bits if isinstance(decoder, ops.Op) else None


class _ReadoutModel(StreamModel):
    def keep(self, x: NDArray[Any], *, begins: bool) -> None:
        """Let `total` take one step (H), of a sample that may begin with it."""
        raise NotImplementedError

    def decode(self, steps: int) -> NDArray[Any]:
        """Return the logits (classes) of `total` over so many steps."""
        raise NotImplementedError

    def advance(self, position: int | None) -> None:
        """Take one vector; decode at the end of a sample."""
        x = self.a_in.recv()
        if position is None:
            self.s_out.send(self._silence())
            return
        members = self.proc_params["members"]
        self.trace(position, {members[0].inputs[0]: x})
        self.keep(x, begins=self.schedule.begins(position))
        each = members[0].pool == "none"
        ended = each or self.schedule.ends(position)
        if ended:
            sample = self.schedule.sample(position)
            self.logits[:] = self.decode(self.schedule.steps(sample))
            self.trace(position if each else sample, {members[-1].name: self.logits})
        self.s_out.send(self.logits.copy() if ended else self._silence())

    def _silence(self) -> NDArray[Any]:
        return np.zeros_like(self.logits)


@implements(proc=ReadoutProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutFixed(_ReadoutModel):
    """Integers: an exact sum of 64 bits, or one step's, rounded once."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    total: Any = LavaPyType(np.ndarray, np.int64)
    logits: Any = LavaPyType(np.ndarray, np.int64)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def keep(self, x: NDArray[Any], *, begins: bool) -> None:
        """Keep integers."""
        (readout,) = self.proc_params["members"]
        if begins:
            self.total[:] = readout.empty
        self.total[:] = readout.after(self.total[None], x[None, None].astype(np.int64))[0]

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
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    total: Any = LavaPyType(np.ndarray, float)
    logits: Any = LavaPyType(np.ndarray, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def keep(self, x: NDArray[Any], *, begins: bool) -> None:
        """Keep real numbers."""
        pool, *_ = self.proc_params["members"]
        self.total[:] = x if begins else pool.after(self.total, x)

    def decode(self, steps: int) -> NDArray[Any]:
        """Decode real numbers."""
        pool, *rest = self.proc_params["members"]
        values: dict[str, Any] = {pool.name: pool.result(self.total[None], steps)}
        for node in rest:
            values[node.name] = node.apply(*(values[name] for name in node.inputs))
        logits: NDArray[Any] = values[self.proc_params["members"][-1].name][0]
        return logits
