"""NetworkProcess: the network of a program or of a float graph as one hierarchical process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lava.magma.core.decorator import implements, tag
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurossm.errors import InputError
from neurossm.lava.plan import Plan, Stage
from neurossm.lava.ports import Receiver, Sender
from neurossm.lava.processes.gate.process import Gate
from neurossm.lava.schedule import ENDLESS, Schedule
from neurossm.lava.stages import make_stage
from neurossm.lava.stream import StreamProcess
from neurossm.program import Input


class NetworkProcess(AbstractProcess):  # type: ignore[misc]
    """The network of a program, or of a float graph, as one process of any larger network.

    `program.to_lava()` makes it. It has a model for the tag of its numbers, which is made of other
    processes: Lava's Dense and `Neuron`.

    Parameters
    ----------
    plan : Plan
        Its parts, see `plan_program` and `plan_graph`.
    schedule : Schedule, optional
        When samples arrive: `reset_offset` is the number of steps by which everything before
        delays (one for each Dense). By default one sample without end, from the first step on.
    name : str, optional
        Name of the process, which its parts' names begin with.

    Ports
    -----
    a_in
        (channels), the integers that `program.encode` makes of data, or the values of
        the float graph's input. Integers outside the program's range are refused, in a run.
    s_out
        The logits at the last step of a sample and zeros at all others (at every step where the
        network answers every step), or the tensor that `to_lava(output=...)` names, at every step.

    Vars
    ----
    blocks_0_ssm_a_re, blocks_0_spike_threshold, ...
        Every field and every state of every operation: `variable(OPERATION, FIELD)` finds it.
    logits
        Of the last sample that ended, where the network ends with them.

    Attributes
    ----------
    latency_steps : int
        Steps by which the network delays: what follows it has the `reset_offset` of the network's
        schedule plus this.
    """

    def __init__(
        self, plan: Plan, *, schedule: Schedule | None = None, name: str | None = None
    ) -> None:
        chosen = schedule or ENDLESS
        endless = chosen.reset_period == ENDLESS.reset_period and not chosen.lengths
        if plan.end is None and endless and getattr(plan.readout.members[0], "pool", "") != "none":
            raise InputError(
                f"{name or 'network'}: logits need samples that end; give "
                "schedule=Schedule(reset_period=STEPS)"
            )
        super().__init__(plan=plan, schedule=chosen, name=name)
        self.plan = plan
        self.latency_steps = plan.latency_steps
        # The parts are made now, for their numbers and ports say what this process has.
        self.made = {
            stage.name: self._make(stage, f"{self.name}/{stage.name}") for stage in plan.stages
        }
        self.a_in = Receiver(self.made[plan.source.name].a_in.size)
        self.aliases = _aliases(plan, self.made)
        for variable, inner in self.aliases.items():
            setattr(self, variable, Var(shape=inner.shape, init=inner.init))
        port = getattr(self.made[plan.outlet.wire.stage], plan.outlet.wire.port)
        self.s_out = Sender(port.size, port.bits, port.binary)

    def _make(self, stage: Stage, name: str) -> Any:
        schedule: Schedule = self.proc_params["schedule"]
        late = replace(schedule, reset_offset=schedule.reset_offset + stage.depth)
        if stage.kind != "Player":
            return make_stage(stage, late, name=name)
        source = stage.members[0]
        interval = source.out.interval if isinstance(source, Input) else None
        (channels,) = stage.recorded[source.name]
        return Gate(channels, interval=interval, schedule=late, name=name)

    def variable(self, operation: str, name: str) -> Any:
        """Return the variable that holds a field or a state of an operation.

        InputError if there is none.
        """
        for stage in self.plan.stages:
            if stage.unit and operation in {member.name for member in stage.members}:
                inner = getattr(self.made[stage.name], stage.unit.variable(operation, name))
                (found,) = (v for v, alias in self.aliases.items() if alias is inner)
                return getattr(self, found)
        raise InputError(f"{self.name}: no neuron computes an operation {operation!r}")

    def reset(self) -> None:
        """Begin a sample with what is sent next, as a fresh start would; call it between two runs.

        What is still on its way through the pipeline is computed as if nothing had happened.
        """
        for process in self.made.values():
            if isinstance(process, StreamProcess):
                process.reset()


def _aliases(plan: Plan, made: Mapping[str, Any]) -> dict[str, Var]:
    """Return the variables of all parts by the names they have in the whole network."""
    found: dict[str, Var] = {}

    def enter(name: str, inner: Var) -> None:
        name = re.sub(r"\W", "_", name)
        while name in found:
            name += "_"
        found[name] = inner

    for stage in plan.stages:
        process = made[stage.name]
        if stage.unit is not None:
            for variable, place in {**stage.unit.variables, **stage.unit.states}.items():
                member = stage.members[place.member]
                enter(f"{member.name}_{place.name}", getattr(process, variable))
        elif stage.kind == "Dense":
            enter(f"{stage.name}_weights", process.weights)
        elif stage.kind == "Readout":
            found["logits"] = process.logits
    return found


@implements(proc=NetworkProcess, protocol=LoihiProtocol)
@tag("fixed_pt", "floating_pt")
class NetworkModel(AbstractSubProcessModel):  # type: ignore[misc]
    """The parts, wired."""

    def __init__(self, proc: NetworkProcess) -> None:
        for number, stage in enumerate(proc.plan.stages):
            process = proc.made[stage.name]
            setattr(self, f"part{number}", process)  # where Lava looks for them
            for port, wire in stage.wires.items():
                getattr(proc.made[wire.stage], wire.port).connect(getattr(process, port))
        proc.in_ports.a_in.connect(proc.made[proc.plan.source.name].a_in)
        outlet = proc.plan.outlet.wire
        getattr(proc.made[outlet.stage], outlet.port).connect(proc.out_ports.s_out)
        for variable, inner in proc.aliases.items():
            getattr(proc.vars, variable).alias(inner)
