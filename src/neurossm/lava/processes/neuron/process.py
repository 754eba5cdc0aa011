"""Neuron: a population of neurons that computes operations of a program or nodes of a float graph.

Lava wants the ports and variables of a process declared in the class of its model. They follow from
what a neuron computes, so a class is made for each combination, here, where Lava looks for models.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurossm.lava.neuron_model import NeuronModel
from neurossm.lava.ports import Receiver, Sender
from neurossm.lava.schedule import ENDLESS, Schedule
from neurossm.lava.stepping import Member, stepper
from neurossm.lava.stream import StreamProcess
from neurossm.lava.unit import Inlet, Unit, unit_of
from neurossm.program import Op


class Neuron(StreamProcess):
    """A population of neurons, each of which computes the same operations in one step.

    Operations of an integer program have a model of the tag fixed_pt, nodes of a float graph one of
    floating_pt.

    Parameters
    ----------
    members : operation, node, or iterable of them
        What a neuron computes, each after those it reads.
    inlets : iterable of Inlet, optional
        Input ports, where one tensor for each in order is not what is wanted.
    sends : iterable of str, optional
        Results to send; by default the last graded one and the last spikes.
    channels : int, optional
        Channels of the tensors that nodes of a float graph receive.
    schedule : Schedule, optional
        When samples pass, and where the states start from zero; zeros are sent otherwise. By
        default one sample without end, from the first step on.
    trace : dict, optional
        Files to write tensors and states to, by name: what is received, what members make,
        "NAME:state_re".
    name : str, optional
        Name of the process.

    Ports
    -----
    a_in, b_in, ...
        Each tensor that no member makes, in the order in which they are read.
    s_out
        The result. Where spikes and graded values leave, it is the spikes, and `y_out` the graded
        values. More of a kind leave on `s2_out`, `y2_out` and so on.

    Vars
    ----
    a_re, threshold, gain, ...
        Every field of a member has a variable of its name. A number that is set between two runs
        counts from the next step on.
    state_re, v, ...
        Every state.
    affine1_gain, affine2_gain, ...
        Where several members have a field or state of one name, their type comes first, numbered.
    saturations
        How many integers were clipped, by the names in `unit.counters`.
    begin
        Samples begin anew with the next step when it is set to 1, which `reset` does.

    Examples
    --------
    One neuron with one mode on Lava's own source and sink, states reset every 50 steps, fed an
    impulse of 100; its pole is 0.9 i:

    >>> import numpy as np
    >>> from lava.magma.core.run_conditions import RunSteps
    >>> from lava.magma.core.run_configs import Loihi2SimCfg
    >>> from lava.proc.io.sink import RingBuffer as Sink
    >>> from lava.proc.io.source import RingBuffer as Source
    >>> from neurossm.lava import Neuron, Schedule
    >>> from neurossm.program import SSM, Spike, unchecked
    >>> data = np.zeros((1, 50), int)
    >>> data[0, 0] = 100
    >>> source = Source(data=data)
    >>> ssm = SSM(
    ...     "ssm", ("u",), unchecked(32, 0, 1), a_re=[[0]], a_im=[[58982]], pole_shift=[[16]],
    ...     input_shift=[[0]], c_re=[[1]], c_im=[[0]], readout_shift=[0], d=[0], d_shift=[0],
    ...     state_bits=24,
    ... )
    >>> spike = Spike("spike", ("ssm",), unchecked(2, 0, 1), threshold=[50])
    >>> neuron = Neuron([ssm, spike], schedule=Schedule(reset_period=50))
    >>> sink = Sink(shape=(1,), buffer=50)
    >>> source.s_out.connect(neuron.a_in)
    >>> neuron.s_out.connect(sink.a_in)
    >>> neuron.run(RunSteps(50), Loihi2SimCfg(select_tag="fixed_pt"))
    >>> np.flatnonzero(sink.data.get())  # 100, 0, -81, 0, 66, 0, -53, 0, 43 ...
    array([0, 4])
    >>> neuron.a_im.get()
    array([[58982.]])
    >>> neuron.stop()
    """

    def __new__(
        cls,
        members: Member | Iterable[Member] | Unit,
        *,
        inlets: Iterable[Inlet] | None = None,
        sends: Iterable[str] | None = None,
        channels: int | None = None,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
    ) -> Any:
        """Choose the class that declares the ports and variables."""
        unit = members if isinstance(members, Unit) else unit_of(members, inlets, sends, channels)
        made = super().__new__(_class_of(*_declarations(unit)))
        made.unit = unit
        return made

    def __init__(
        self,
        members: Member | Iterable[Member] | Unit,
        *,
        schedule: Schedule | None = None,
        trace: dict[str, str] | None = None,
        name: str | None = None,
        **_: Any,  # what `__new__` has made the unit of
    ) -> None:
        unit: Unit = self.unit
        super().__init__(unit=unit, schedule=schedule or ENDLESS, trace=trace, name=name)
        for port, inlet in unit.inlets.items():
            setattr(self, port, Receiver(inlet.width))
            if inlet.delay:
                setattr(self, _register(port), Var(shape=(inlet.delay, inlet.width), init=0))
        for port, tensor in unit.outlets.items():
            setattr(self, port, Sender(unit.channels[tensor], *unit.message(tensor)))
        for variable, place in {**unit.variables, **unit.states}.items():
            value = unit.initial(place)
            setattr(self, variable, Var(shape=value.shape, init=value))
        for member in unit.members:
            stepper(member)  # compiled here once, before Lava's processes are forked
        if unit.counters:
            self.saturations = Var(shape=(len(unit.counters),), init=0)


Declarations = tuple[tuple[str, Any], ...]
_SPIKES: dict[int, Any] = {1: bool, 2: np.int8}


def _register(port: str) -> str:
    return f"{port}_waiting"


def _declarations(unit: Unit) -> tuple[str, Declarations, Declarations, Declarations]:
    """Return the tag, and names and types of input ports, output ports and variables."""
    fixed = unit.tag == "fixed_pt"
    graded = np.int32 if fixed else float
    bits = {
        m.name: m.message_bits for m in unit.members if isinstance(m, Op) and m.emits == "spikes"
    }
    outputs = {
        port: _SPIKES.get(bits.get(tensor, 0), graded) for port, tensor in unit.outlets.items()
    }
    number = np.int64 if fixed else float
    variables = {_register(port): number for port, inlet in unit.inlets.items() if inlet.delay}
    variables |= dict.fromkeys((*unit.variables, *unit.states), number)
    if unit.counters:
        variables["saturations"] = np.int64
    inputs = dict.fromkeys(unit.inlets, graded)
    return unit.tag, *(tuple(found.items()) for found in (inputs, outputs, variables))  # type: ignore[return-value]


def declared_types(unit: Unit) -> dict[str, Any]:
    """Return Lava's type of every port and variable, as a model of the neurons declares them."""
    return _types(*_declarations(unit)[1:])


def _types(inputs: Declarations, outputs: Declarations, variables: Declarations) -> dict[str, Any]:
    types: dict[str, Any] = {name: LavaPyType(PyInPort.VEC_DENSE, d) for name, d in inputs}
    types |= {name: LavaPyType(PyOutPort.VEC_DENSE, d) for name, d in outputs}
    return types | {name: LavaPyType(np.ndarray, d) for name, d in variables}


@cache
def _class_of(
    kind: str, inputs: Declarations, outputs: Declarations, variables: Declarations
) -> type[Neuron]:
    """Make the class of a process and that of its model, where Lava finds them."""
    number = sum(name.startswith("_Neuron") for name in globals())
    body = {"__module__": __name__, "__doc__": Neuron.__doc__}
    process = type(f"_Neuron{number}", (Neuron,), dict(body))
    declared = _types(inputs, outputs, variables)
    model = type(f"_Neuron{number}Model", (NeuronModel,), body | declared)
    model = implements(proc=process, protocol=LoihiProtocol)(requires(CPU)(tag(kind)(model)))
    globals()[process.__name__] = process
    globals()[model.__name__] = model
    return process
