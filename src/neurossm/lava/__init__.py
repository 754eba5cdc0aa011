"""Lava: processes for spiking state-space models, and networks of them made from programs.

`run` runs an integer program on the fixed_pt models, `run_graph` a float graph on the floating_pt
models, both in a process of their own. `build` makes the processes in this process, for users who
wire networks themselves; `integer_modes` gives a neuron of theirs its integers. Only processes,
`Network` and `build` import Lava here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neurossm.lava.availability import prepare_lava, require_lava
from neurossm.lava.engine import plan_graph, plan_program, run, run_graph
from neurossm.lava.parameters import (
    GELU,
    Decoder,
    DynamicTernary,
    Logistic,
    Modes,
    Normalise,
    Product,
    Rescale,
    Segments,
    Sum,
    Ternary,
)
from neurossm.lava.plan import Plan
from neurossm.lava.schedule import Schedule
from neurossm.lava.worker import Worker

if TYPE_CHECKING:
    from neurossm.lava.integers import integer_modes
    from neurossm.lava.network import Network, build
    from neurossm.lava.processes.affine.process import Affine
    from neurossm.lava.processes.embedding.process import Embedding
    from neurossm.lava.processes.glu.process import GLU
    from neurossm.lava.processes.gsu.process import GSU
    from neurossm.lava.processes.layer_norm.process import LayerNorm
    from neurossm.lava.processes.player.process import Player
    from neurossm.lava.processes.readout.process import Readout
    from neurossm.lava.processes.ssm.process import SSM
    from neurossm.lava.processes.ternary_ssm.process import TernarySSM

__all__ = [
    "GELU",
    "GLU",
    "GSU",
    "SSM",
    "Affine",
    "Decoder",
    "DynamicTernary",
    "Embedding",
    "LayerNorm",
    "Logistic",
    "Modes",
    "Network",
    "Normalise",
    "Plan",
    "Player",
    "Product",
    "Readout",
    "Rescale",
    "Schedule",
    "Segments",
    "Sum",
    "Ternary",
    "TernarySSM",
    "Worker",
    "build",
    "integer_modes",
    "plan_graph",
    "plan_program",
    "require_lava",
    "run",
    "run_graph",
]

_NEED_LAVA = {
    "Affine": "processes.affine.process",
    "Embedding": "processes.embedding.process",
    "GLU": "processes.glu.process",
    "GSU": "processes.gsu.process",
    "LayerNorm": "processes.layer_norm.process",
    "Network": "network",
    "Player": "processes.player.process",
    "Readout": "processes.readout.process",
    "SSM": "processes.ssm.process",
    "TernarySSM": "processes.ternary_ssm.process",
    "build": "network",
}


_NEED_COMPILER = {"integer_modes": "integers"}


def __getattr__(name: str) -> Any:
    """Import what needs Lava, or the compiler, when it is first asked for."""
    module = _NEED_LAVA.get(name) or _NEED_COMPILER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _NEED_LAVA:
        prepare_lava()
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
