"""GLU: the gated linear unit behind a mixing Dense, and the residual connection around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neurossm.errors import InputError
from neurossm.lava import fixed, floating
from neurossm.lava.parameters import Function, Norm, Product, Rescale, Sum
from neurossm.lava.record import require_integers
from neurossm.lava.residual import ResidualModel
from neurossm.lava.schedule import Schedule


class GLU(AbstractProcess):  # type: ignore[misc]
    """`y = norm(x + product(value(a[:H]), sigmoid(gate(a[H:]))))`.

    `a` comes from one Dense of 2H rows, which delays it by one step; the residual x comes around
    the Dense and waits in a register for as long.

    Ports: `a_in` (2H), `x_in` (H), `y_out` (H).

    Parameters
    ----------
    value, gate
        Bias and change of width of the two halves of a.
    sigmoid
        The gate's function; `Logistic` is for floating_pt only.
    product, total
        The product of the two, and its sum with x.
    norm
        Normalisation of the sum, such as a folded BatchNorm; None where there is none.
    schedule
        When samples pass; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `value_in`, `gate_in` (what was received), `value`,
        `gate`, `sigmoid`, `product`, `sum`, `y`, each (H).
    """

    counted = ("value", "gate", "sigmoid", "product", "sum", "y")

    def __init__(
        self,
        *,
        value: Rescale,
        gate: Rescale,
        sigmoid: Function,
        product: Product,
        total: Sum,
        norm: Norm | None = None,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        channels = value.channels
        if gate.channels != channels or (norm is not None and norm.channels != channels):
            raise InputError(f"{name}: value, gate and norm differ in their number of channels")
        product = Product(np.broadcast_to(product.shift, (channels,)), product.bits)
        super().__init__(
            value=value,
            gate=gate,
            sigmoid=sigmoid,
            product=product,
            total=total,
            norm=norm,
            schedule=schedule or Schedule(),
            trace=trace,
            name=name,
        )
        self.a_in = InPort(shape=(2 * channels,))
        self.x_in = InPort(shape=(channels,))
        self.y_out = OutPort(shape=(channels,))
        self.waiting = Var(shape=(channels,), init=0)
        self.saturations = Var(shape=(len(self.counted),), init=0)


class _GLUModel(ResidualModel):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.value: Rescale = proc_params["value"]
        self.gate: Rescale = proc_params["gate"]
        self.sigmoid: Any = proc_params["sigmoid"]
        self.product: Product = proc_params["product"]
        self.total: Sum = proc_params["total"]
        self.norm: Norm | None = proc_params["norm"]

    def receive(self) -> dict[str, NDArray[Any]]:
        """Return the two halves of a."""
        a = self.a_in.recv()
        return {"value_in": a[: a.size // 2], "gate_in": a[a.size // 2 :]}


@implements(proc=GLU, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GLUFixed(_GLUModel):
    """Integers, rounded and saturated."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    x_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    waiting: Any = LavaPyType(np.ndarray, np.int64)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        require_integers(self.value, self.gate, self.sigmoid, self.product, self.total, self.norm)

    def unit(self, received: dict[str, NDArray[Any]], x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Compute in integers."""
        value, n_value = fixed.rescale(self.value, received["value_in"].astype(np.int64))
        gate, n_gate = fixed.rescale(self.gate, received["gate_in"].astype(np.int64))
        sigmoid, n_sigmoid = fixed.lookup(self.sigmoid, gate)
        product, n_product = fixed.multiply(self.product, value, sigmoid)
        total, n_sum = fixed.add(self.total, x, product)
        y, n_y = fixed.normalise(self.norm, total)
        self.saturations += (n_value, n_gate, n_sigmoid, n_product, n_sum, n_y)
        return {
            "value": value,
            "gate": gate,
            "sigmoid": sigmoid,
            "product": product,
            "sum": total,
            "y": y,
        }


@implements(proc=GLU, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class GLUFloating(_GLUModel):
    """Real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    x_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    waiting: Any = LavaPyType(np.ndarray, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def unit(self, received: dict[str, NDArray[Any]], x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Compute in float64."""
        value = floating.rescale(self.value, received["value_in"])
        gate = floating.rescale(self.gate, received["gate_in"])
        sigmoid = floating.lookup(self.sigmoid, gate)
        product = floating.multiply(self.product, value, sigmoid)
        total = floating.add(self.total, x, product)
        return {
            "value": value,
            "gate": gate,
            "sigmoid": sigmoid,
            "product": product,
            "sum": total,
            "y": floating.normalise(self.norm, total),
        }
