"""The model of every neuron process: receive, let each member compute, send."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.lava.constants import with_constants
from neurossm.lava.stepping import Array, MemberStep, stepper
from neurossm.lava.stream import StreamModel
from neurossm.lava.unit import Unit
from neurossm.program.arithmetic import Tally
from neurossm.program.operation import Op


class NeuronModel(StreamModel):
    """Computes the members of `unit` with the numbers that its variables hold."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._unit: Unit = proc_params["unit"]
        self._number = np.int64 if self._unit.tag == "fixed_pt" else np.float64
        self._used: dict[str, Array] = {}
        self._changed = True
        self._steppers: list[MemberStep] = []
        self._states: list[dict[str, Array]] = []
        self._counts = Tally()

    def on_var_update(self) -> None:
        """Look at the variables before the next step: Lava has set one."""
        super().on_var_update()
        self._changed = True

    def advance(self, position: int | None) -> None:
        """Turn one step's inputs into one step's outputs; a sample begins with states of zero."""
        unit = self._unit
        values = self._receive()
        if position is None:
            for port, tensor in unit.outlets.items():
                getattr(self, port).send(np.zeros(unit.channels[tensor], self._number))
            return
        begins = self.schedule.begins(position)
        if begins or self._changed:
            self._look()
        if begins:
            self._reset()
        for member, step, states in zip(unit.members, self._steppers, self._states, strict=True):
            inputs = [values[name] for name in member.inputs]
            values[member.name] = step(inputs, states, self._counts)
        if self._counts:
            self.saturations += [self._counts[name] for name in unit.counters]
            self._counts.clear()
        for port, tensor in unit.outlets.items():
            getattr(self, port).send(values[tensor])
        if self.traces:
            self.trace(position, values | self._traceable_states())

    def _receive(self) -> dict[str, Array]:
        """Return what has arrived, by tensor, each delayed by as many steps as it must wait."""
        values: dict[str, Array] = {}
        for port, inlet in self._unit.inlets.items():
            row = getattr(self, port).recv().astype(self._number)
            if inlet.delay:
                waiting = getattr(self, f"{port}_waiting")[self.time_step % inlet.delay]
                row, waiting[:] = waiting.copy(), row
            start = 0
            for name, channels in inlet.tensors.items():
                values[name] = row[start : start + channels]
                start += channels
        return values

    def _look(self) -> None:
        """Take over the numbers that the variables hold, if others than before."""
        unit = self._unit
        self._changed = False
        now = {name: getattr(self, name) for name in unit.variables}
        if self._steppers and all(np.array_equal(now[name], self._used[name]) for name in now):
            return
        self._used = {name: values.copy() for name, values in now.items()}
        numbers: list[dict[str, Array]] = [{} for _ in unit.members]
        for variable, place in unit.variables.items():
            numbers[place.member][place.name] = self._used[variable]
        members = map(with_constants, unit.members, numbers)
        self._steppers = [stepper(member) for member in members]
        self._states = [{} for _ in unit.members]
        for variable, place in unit.states.items():
            self._states[place.member][place.name] = getattr(self, variable)

    def _reset(self) -> None:
        for states in self._states:
            for values in states.values():
                values[...] = 0

    def _traceable_states(self) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for member, states in zip(self._unit.members, self._states, strict=True):
            if isinstance(member, Op):
                for state in member.states:
                    found[member.state_name(state)] = states[state.name]
        return found
