"""Lava: processes for spiking state-space models, and networks of them made from programs.

`run` runs an integer program on the fixed_pt models, `run_graph` a float graph on the floating_pt
models, both in a process of their own. `build` makes the processes in this process, for users who
wire networks themselves (`neurossm.compile.integer_neuron` gives a neuron its integers). Only
processes, `Network` and `build` import Lava here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neurossm.lava.availability import prepare_lava, require_lava
from neurossm.lava.engine import plan_graph, plan_program, run, run_graph
from neurossm.lava.plan import Plan
from neurossm.lava.schedule import Schedule
from neurossm.lava.unit import Inlet, Unit
from neurossm.lava.worker import Worker, kept

if TYPE_CHECKING:
    from neurossm.lava.network import LavaNetwork, build
    from neurossm.lava.processes.neuron.process import Neuron
    from neurossm.lava.processes.player.process import Player
    from neurossm.lava.processes.readout.process import ReadoutProcess

__all__ = [
    "Inlet",
    "LavaNetwork",
    "Neuron",
    "Plan",
    "Player",
    "ReadoutProcess",
    "Schedule",
    "Unit",
    "Worker",
    "build",
    "kept",
    "plan_graph",
    "plan_program",
    "require_lava",
    "run",
    "run_graph",
]

_NEED_LAVA = {
    "LavaNetwork": "network",
    "Neuron": "processes.neuron.process",
    "Player": "processes.player.process",
    "ReadoutProcess": "processes.readout.process",
    "build": "network",
}


def __getattr__(name: str) -> Any:
    """Import what needs Lava when it is first asked for."""
    if name not in _NEED_LAVA:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    prepare_lava()
    return getattr(importlib.import_module(f"{__name__}.{_NEED_LAVA[name]}"), name)
