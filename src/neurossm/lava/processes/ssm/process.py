"""SSM: a population of spiking state-space neurons."""

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
from numpy.typing import ArrayLike, NDArray

from neurossm.errors import InputError
from neurossm.lava.neuron import FixedNeuron, FloatingNeuron, NeuronModel
from neurossm.lava.parameters import Modes, Rescale
from neurossm.lava.schedule import Schedule


class SSM(AbstractProcess):  # type: ignore[misc]
    """H spiking neurons: `u = rescale(a_in)`, `y = modes(u)`, `s = 1 if y > threshold else 0`.

    Ports: `a_in` (H) graded, `y_out` (H) graded, `s_out` (H) binary spikes. Either output may stay
    unconnected. See `Modes` for the recurrence and `Schedule` for when the states start from zero.

    Parameters
    ----------
    modes
        Poles, readout and widths.
    threshold
        (H): a neuron spikes where y is greater.
    rescale
        Affine map of the input, such as a folded BatchNorm; None for `u = a_in`.
    schedule
        When samples pass, and where the states start from zero; zeros are sent otherwise.
    trace
        Files to write tensors to, by role: `a`, `u`, `y`, `s` (H), `state_re`, `state_im` (H, N).

    Examples
    --------
    One neuron with one mode on Lava's own source and sink, states reset every 50 steps, fed an
    impulse of 100; its pole is 0.9 i:

    >>> import numpy as np
    >>> from lava.magma.core.run_conditions import RunSteps
    >>> from lava.magma.core.run_configs import Loihi2SimCfg
    >>> from lava.proc.io.sink import RingBuffer as Sink
    >>> from lava.proc.io.source import RingBuffer as Source
    >>> from neurossm.lava import SSM, Modes, Schedule
    >>> data = np.zeros((1, 50), int)
    >>> data[0, 0] = 100
    >>> source = Source(data=data)
    >>> modes = Modes(a_re=[[0]], a_im=[[58982]], c_re=[[1]], c_im=[[0]], d=[0], pole_shift=16)
    >>> neuron = SSM(modes=modes, threshold=[50], schedule=Schedule(reset_period=50))
    >>> sink = Sink(shape=(1,), buffer=50)
    >>> source.s_out.connect(neuron.a_in)
    >>> neuron.s_out.connect(sink.a_in)
    >>> neuron.run(RunSteps(50), Loihi2SimCfg(select_tag="fixed_pt"))
    >>> np.flatnonzero(sink.data.get())  # 100, 0, -81, 0, 66, 0, -53, 0, 43 ...
    array([0, 4])
    >>> neuron.stop()
    """

    counted = ("u", "state", "y")

    def __init__(
        self,
        *,
        modes: Modes,
        threshold: ArrayLike = 0,
        rescale: Rescale | None = None,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        if rescale is not None and rescale.channels != modes.channels:
            raise InputError(
                f"{name}: rescale has {rescale.channels} channels, modes {modes.channels}"
            )
        super().__init__(
            modes=modes,
            threshold=np.broadcast_to(threshold, (modes.channels,)),
            rescale=rescale,
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


class _BinarySpikes(NeuronModel):
    def fire(self, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Send y as it is, and spikes."""
        return y, y > self.proc_params["threshold"]


@implements(proc=SSM, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SSMFixed(_BinarySpikes, FixedNeuron):
    """Integers, rounded and saturated."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, bool, precision=1)
    state_re: Any = LavaPyType(np.ndarray, np.int64)
    state_im: Any = LavaPyType(np.ndarray, np.int64)
    saturations: Any = LavaPyType(np.ndarray, np.int64)


@implements(proc=SSM, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SSMFloating(_BinarySpikes, FloatingNeuron):
    """Real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    y_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, bool, precision=1)
    state_re: Any = LavaPyType(np.ndarray, float)
    state_im: Any = LavaPyType(np.ndarray, float)
    saturations: Any = LavaPyType(np.ndarray, np.int64)
