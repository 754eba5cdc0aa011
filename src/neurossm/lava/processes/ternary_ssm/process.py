"""TernarySSM: a population of state-space neurons with ternary spikes and graded messages."""

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
from neurossm.lava.neuron import FixedNeuron, FloatingNeuron
from neurossm.lava.parameters import DynamicTernary, Modes, Rescale, Ternary
from neurossm.lava.record import require_integers
from neurossm.lava.schedule import Schedule


class TernarySSM(AbstractProcess):  # type: ignore[misc]
    """H neurons: `u = rescale(a_in)`, `y = modes(u)`, `g = graded(y)`, `s = ternary(g)`.

    Ports: `a_in` (H) graded, `y_out` (H) graded: g, `s_out` (H) spikes -1, 0 or 1. Either output
    may stay unconnected. A `Dense` that reads `s_out` needs `num_message_bits=2`: with 0 it takes
    every -1 for 1. See `Modes` for the recurrence and `Schedule` for when the states start from
    zero.

    Parameters
    ----------
    modes
        Poles, readout and widths.
    ternary
        Thresholds (H). `DynamicTernary` takes the largest of all channels at every step, which
        spiking cores cannot: floating_pt only.
    rescale
        Affine map of the input, such as a folded BatchNorm; None for `u = a_in`.
    graded
        Affine map of y, to one exponent for all channels and to the width of the messages; None
        for `g = y`.
    schedule
        When samples pass, and where the states start from zero; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `a`, `u`, `y`, `graded`, `s` (H), `state_re`,
        `state_im` (H, N).
    """

    counted = ("u", "state", "y", "graded")

    def __init__(
        self,
        *,
        modes: Modes,
        ternary: Ternary | DynamicTernary,
        rescale: Rescale | None = None,
        graded: Rescale | None = None,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        for role, given in (("rescale", rescale), ("graded", graded)):
            if given is not None and given.channels != modes.channels:
                raise InputError(
                    f"{name}: {role} has {given.channels} channels, modes {modes.channels}"
                )
        if isinstance(ternary, Ternary):
            ternary = Ternary(np.broadcast_to(ternary.threshold, (modes.channels,)))
        super().__init__(
            modes=modes,
            ternary=ternary,
            rescale=rescale,
            graded=graded,
            schedule=schedule or Schedule(),
            trace=trace,
            name=name,
        )
        self.a_in = InPort(shape=(modes.channels,))
        self.y_out = OutPort(shape=(modes.channels,))
        self.s_out = OutPort(shape=(modes.channels,))
        self.state_re = Var(shape=modes.shape, init=0)
        self.state_im = Var(shape=modes.shape, init=0)
        self.saturations = Var(shape=(len(self.counted),), init=0)


@implements(proc=TernarySSM, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class TernarySSMFixed(FixedNeuron):
    """Integers, rounded and saturated."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int8, precision=2)
    state_re: Any = LavaPyType(np.ndarray, np.int64)
    state_im: Any = LavaPyType(np.ndarray, np.int64)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.ternary: Ternary = proc_params["ternary"]
        self.graded: Rescale | None = proc_params["graded"]
        require_integers(self.ternary, self.graded)

    def fire(self, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Send y in the messages' width, and ternary spikes."""
        graded, saturated = fixed.normalise(self.graded, y)
        self.saturations[3] += saturated
        return graded, fixed.ternary(self.ternary, graded)


@implements(proc=TernarySSM, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class TernarySSMFloating(FloatingNeuron):
    """Real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int8, precision=2)
    state_re: Any = LavaPyType(np.ndarray, float)
    state_im: Any = LavaPyType(np.ndarray, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)

    def fire(self, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Send y, rescaled, and ternary spikes."""
        graded = floating.normalise(self.proc_params["graded"], y)
        return graded, floating.ternary(self.proc_params["ternary"], graded)
