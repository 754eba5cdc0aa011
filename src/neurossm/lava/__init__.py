"""Lava: processes for spiking state-space models, and networks of them made from programs.

`run` runs an integer program on the fixed_pt models, `run_graph` a float graph on the floating_pt
models, both in a process of their own. `as_process` makes one process of a network, for users who
wire networks themselves, `Neuron` one of a few operations (`neurossm.compile.integer_neuron` gives
it its integers), and `build` the processes that play data. Only these import Lava here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neurossm.lava.availability import prepare_lava, require_lava
from neurossm.lava.engine import plan_graph, plan_program, run, run_graph
from neurossm.lava.guard import guarded
from neurossm.lava.hardware import HardwareModels, run_config
from neurossm.lava.plan import Plan
from neurossm.lava.schedule import Schedule
from neurossm.lava.unit import Inlet, Unit
from neurossm.lava.worker import Worker, kept

if TYPE_CHECKING:
    from neurossm.lava.network import LavaNetwork, as_process, build
    from neurossm.lava.netx_run import run_netx
    from neurossm.lava.neurons import lif_neuron, ssm_neuron
    from neurossm.lava.processes.gate.process import Gate
    from neurossm.lava.processes.network.process import NetworkProcess
    from neurossm.lava.processes.netx.process import NetxNetwork
    from neurossm.lava.processes.neuron.process import Neuron
    from neurossm.lava.processes.player.process import Player
    from neurossm.lava.processes.readout.process import ReadoutProcess

__all__ = [
    "Gate",
    "HardwareModels",
    "Inlet",
    "LavaNetwork",
    "NetworkProcess",
    "NetxNetwork",
    "Neuron",
    "Plan",
    "Player",
    "ReadoutProcess",
    "Schedule",
    "Unit",
    "Worker",
    "as_process",
    "build",
    "guarded",
    "kept",
    "lif_neuron",
    "plan_graph",
    "plan_program",
    "require_lava",
    "run",
    "run_config",
    "run_graph",
    "run_netx",
    "ssm_neuron",
]

_NEED_LAVA = {
    "Gate": "processes.gate.process",
    "LavaNetwork": "network",
    "NetworkProcess": "processes.network.process",
    "Neuron": "processes.neuron.process",
    "Player": "processes.player.process",
    "ReadoutProcess": "processes.readout.process",
    "as_process": "network",
    "build": "network",
    "NetxNetwork": "processes.netx.process",
    "lif_neuron": "neurons",
    "run_netx": "netx_run",
    "ssm_neuron": "neurons",
}


def __getattr__(name: str) -> Any:
    """Import what needs Lava when it is first asked for."""
    if name not in _NEED_LAVA:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    prepare_lava()
    return getattr(importlib.import_module(f"{__name__}.{_NEED_LAVA[name]}"), name)
