"""What Affine and LayerNorm share: a vector arrives, and leaves normalised in the same step."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

from neurossm.lava import fixed, floating
from neurossm.lava.parameters import Norm
from neurossm.lava.record import require_integers
from neurossm.lava.schedule import Schedule
from neurossm.lava.stream import StreamModel

__all__ = ["FixedNormalisation", "FloatingNormalisation", "Normalisation"]


class Normalisation(AbstractProcess):  # type: ignore[misc]
    """Ports: `a_in` (H), `y_out` (H).

    Parameters
    ----------
    norm
        How to normalise, and the width of y.
    schedule
        When samples pass; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `a` (what was received), `y`.
    """

    counted = ("y",)

    def __init__(
        self,
        *,
        norm: Norm,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        schedule = schedule or Schedule()
        super().__init__(norm=norm, schedule=schedule, trace=trace, name=name)
        shape = (norm.channels,)
        self.a_in = InPort(shape=shape)
        self.y_out = OutPort(shape=shape)
        self.saturations = Var(shape=(len(self.counted),), init=0)


class FixedNormalisation(StreamModel):
    """Integers, rounded and saturated."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.norm: Norm = proc_params["norm"]
        require_integers(self.norm)

    def advance(self, position: int | None) -> None:
        """Pass one vector on."""
        a = self.a_in.recv().astype(np.int64)
        if position is None:
            self.y_out.send(np.zeros_like(a))
            return
        y, saturated = fixed.normalise(self.norm, a)
        self.saturations += saturated
        self.trace(position, a=a, y=y)
        self.y_out.send(y)


class FloatingNormalisation(StreamModel):
    """Real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def advance(self, position: int | None) -> None:
        """Pass one vector on."""
        a = self.a_in.recv()
        if position is None:
            self.y_out.send(np.zeros_like(a))
            return
        y = floating.normalise(self.proc_params["norm"], a)
        self.trace(position, a=a, y=y)
        self.y_out.send(y)
