"""GSU: the gated spiking unit behind its two Dense, and the residual connection around it."""

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

_PARTS = ("first", "second", "product", "gate_norm", "activation", "total", "norm")


class GSU(AbstractProcess):  # type: ignore[misc]
    """`y = norm(x + activation(gate_norm(product(first(first_in), second(second_in)))))`.

    `first_in` comes from a Dense that reads ternary spikes, `second_in` from one with ternary
    weights that reads graded values; each delays by one step. The residual x comes around them
    and waits in a register for as long.

    Ports: `first_in`, `second_in`, `x_in`, `y_out`, each (H).

    Parameters
    ----------
    product, total
        The product of the two branches, and the sum with x.
    first, second
        Bias and change of width of the branches; None for what arrives as it is.
    gate_norm
        Normalisation of the product; None where there is none.
    activation
        A function behind it, such as GELU; None where there is none.
    norm
        Normalisation of the sum; None where there is none.
    schedule
        When samples pass; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `first_in`, `second_in` (what was received), `first`,
        `second`, `product`, `gate_norm`, `activation`, `sum`, `y`, each (H).
    """

    counted = ("first", "second", "product", "gate_norm", "activation", "sum", "y")

    def __init__(
        self,
        *,
        product: Product,
        total: Sum,
        first: Rescale | None = None,
        second: Rescale | None = None,
        gate_norm: Norm | None = None,
        activation: Function | None = None,
        norm: Norm | None = None,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        sizes = {part.channels for part in (first, second, gate_norm, norm) if part is not None}
        sizes = sizes or {np.size(product.shift)}
        if len(sizes) > 1:
            raise InputError(f"{name}: its parts have {sorted(sizes)} channels")
        (channels,) = sizes
        product = Product(np.broadcast_to(product.shift, (channels,)), product.bits)
        super().__init__(
            first=first,
            second=second,
            product=product,
            gate_norm=gate_norm,
            activation=activation,
            total=total,
            norm=norm,
            schedule=schedule or Schedule(),
            trace=trace,
            name=name,
        )
        self.first_in = InPort(shape=(channels,))
        self.second_in = InPort(shape=(channels,))
        self.x_in = InPort(shape=(channels,))
        self.y_out = OutPort(shape=(channels,))
        self.waiting = Var(shape=(channels,), init=0)
        self.saturations = Var(shape=(len(self.counted),), init=0)


class _GSUModel(ResidualModel):
    def receive(self) -> dict[str, NDArray[Any]]:
        """Return what both Dense sent."""
        return {"first_in": self.first_in.recv(), "second_in": self.second_in.recv()}


@implements(proc=GSU, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GSUFixed(_GSUModel):
    """Integers, rounded and saturated."""

    first_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    second_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    x_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    waiting: Any = LavaPyType(np.ndarray, np.int64)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        require_integers(*(proc_params[part] for part in _PARTS))

    def unit(self, received: dict[str, NDArray[Any]], x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Compute in integers."""
        p = self.proc_params
        first, n_first = fixed.normalise(p["first"], received["first_in"].astype(np.int64))
        second, n_second = fixed.normalise(p["second"], received["second_in"].astype(np.int64))
        product, n_product = fixed.multiply(p["product"], first, second)
        normal, n_normal = fixed.normalise(p["gate_norm"], product)
        active, n_active = normal, 0
        if p["activation"] is not None:
            active, n_active = fixed.lookup(p["activation"], normal)
        total, n_sum = fixed.add(p["total"], x, active)
        y, n_y = fixed.normalise(p["norm"], total)
        self.saturations += (n_first, n_second, n_product, n_normal, n_active, n_sum, n_y)
        return {
            "first": first,
            "second": second,
            "product": product,
            "gate_norm": normal,
            "activation": active,
            "sum": total,
            "y": y,
        }


@implements(proc=GSU, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class GSUFloating(_GSUModel):
    """Real numbers."""

    first_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    second_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    x_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    waiting: Any = LavaPyType(np.ndarray, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def unit(self, received: dict[str, NDArray[Any]], x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Compute in float64."""
        p = self.proc_params
        first = floating.normalise(p["first"], received["first_in"])
        second = floating.normalise(p["second"], received["second_in"])
        product = floating.multiply(p["product"], first, second)
        normal = floating.normalise(p["gate_norm"], product)
        active = normal if p["activation"] is None else floating.lookup(p["activation"], normal)
        total = floating.add(p["total"], x, active)
        return {
            "first": first,
            "second": second,
            "product": product,
            "gate_norm": normal,
            "activation": active,
            "sum": total,
            "y": floating.normalise(p["norm"], total),
        }
