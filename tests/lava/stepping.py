"""Steps Lava's process models one after the other, in one process and without Lava's runtime.

A network of a few steps takes a hundredth of the time that starting its processes would, and
altered models can be tried (see test_mutation.py). Ports are queues that cast to the port's type,
as Lava's shared memory does; Lava's own Dense is stepped like the rest.
"""

from __future__ import annotations

import importlib
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np


class _Port:
    """A receiving end, or a sending one that knows its receivers."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.queue: deque[np.ndarray] = deque()
        self.receivers: list[_Port] = []

    def recv(self) -> np.ndarray:
        return self.queue.popleft()

    def send(self, values: np.ndarray) -> None:
        for receiver in self.receivers:
            receiver.queue.append(np.array(values, self.dtype))


def run(program: Any, data: np.ndarray, names: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Return the tensors `tensors/NAME`, `logits` and `saturations/NAME` of a run."""
    importlib.import_module("neurossm.lava.availability").prepare_lava()
    network_module = importlib.import_module("neurossm.lava.network")
    engine = importlib.import_module("neurossm.lava.engine")
    plan = engine.plan_program(program)
    x = program.encode(data)
    batch, length, channels = x.shape
    logits = plan.output
    shapes = {name: (batch * length, *plan.recorder(name).recorded[name]) for name in names}
    answers = batch * length if program.readout.streams else batch
    shapes[logits] = (answers, program.readout.out.channels)
    files = {name: folder / f"{number}.npy" for number, name in enumerate(shapes)}
    for name, path in files.items():
        np.save(path, np.full(shapes[name], -(1 << 40)))  # a value that no tensor has
    rows = x.reshape(batch * length, channels).astype(np.int32)
    network = network_module.lay_out(plan, rows, length, files)
    models = _models(network)
    for time_step in range(1, network.steps + 1):
        for model in models.values():
            model.time_step = time_step
            model.run_spk()
    found = {name: np.load(path) for name, path in files.items()}
    result = {
        f"tensors/{name}": found[name].reshape(batch, length, *found[name].shape[1:])
        for name in names
    }
    result["logits"] = found[logits]
    if program.readout.streams:
        result["logits"] = found[logits].reshape(batch, length, -1)
    for stage in plan.stages:
        process = network.processes[stage.name]
        names = process.unit.counters if stage.unit else getattr(process, "counters", ())
        counts = getattr(models[stage.name], "saturations", ())
        for name, count in zip(names, counts, strict=bool(names)):
            if count:
                result[f"saturations/{name}"] = count
    return result


def _models(network: Any) -> dict[str, Any]:
    """Return the fixed_pt model of every process, with its variables and connected ports."""
    models, ports = {}, {}
    for stage in network.plan.stages:
        process = network.processes[stage.name]
        kind = _model_of(type(process))
        model = kind(process.proc_params)
        for variable in process.vars:
            dtype = getattr(kind, variable.name).d_type
            initial = np.broadcast_to(variable.init, variable.shape or ())
            setattr(model, variable.name, np.array(initial, dtype))
        for port in (*process.in_ports, *process.out_ports):
            ports[stage.name, port.name] = _Port(getattr(kind, port.name).d_type)
            setattr(model, port.name, ports[stage.name, port.name])
        models[stage.name] = model
        for name, wire in stage.wires.items():
            ports[wire.stage, wire.port].receivers.append(ports[stage.name, name])
    return models


def _model_of(process: type) -> Any:
    module = sys.modules[process.__module__]
    if process.__name__ == "Dense":
        module = importlib.import_module("lava.proc.dense.models")
    for item in vars(module).values():
        if getattr(item, "implements_process", None) is process and "fixed_pt" in item.tags:
            return item
    raise LookupError(f"{process.__name__} has no fixed_pt model")
