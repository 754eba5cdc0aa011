"""Embedding: one spike per token selects a row of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neurossm.errors import InputError
from neurossm.lava.schedule import Schedule
from neurossm.lava.stream import StreamModel


class Embedding(AbstractProcess):  # type: ignore[misc]
    """`y = weight[token]`: additions only, one row for one token. It adds no delay.

    Ports: `token_in` (1), `y_out` (H).

    Parameters
    ----------
    weight
        (V, H): one row for each token of the vocabulary.
    schedule
        When samples pass; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `y`.
    """

    def __init__(
        self,
        *,
        weight: NDArray[Any],
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        schedule = schedule or Schedule()
        super().__init__(weight=weight, schedule=schedule, trace=trace, name=name)
        self.token_in = InPort(shape=(1,))
        self.y_out = OutPort(shape=weight.shape[1:])


class _EmbeddingModel(StreamModel):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.weight = proc_params["weight"]

    def advance(self, position: int | None) -> None:
        """Turn one token into one row."""
        (token,) = self.token_in.recv().astype(np.int64)
        if position is None:
            self.y_out.send(np.zeros_like(self.weight[0]))
            return
        if not 0 <= token < len(self.weight):
            raise InputError(f"token {token} is not in the vocabulary of {len(self.weight)}")
        y = self.weight[token]
        self.trace(position, y=y)
        self.y_out.send(y)


@implements(proc=Embedding, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class EmbeddingFixed(_EmbeddingModel):
    """Integer weights."""

    token_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        if self.weight.dtype.kind != "i":
            raise InputError(f"weight of type {self.weight.dtype}; fixed_pt needs integers")


@implements(proc=Embedding, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class EmbeddingFloating(_EmbeddingModel):
    """Real weights."""

    token_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
