"""Make the golden vectors: python tests/golden/make_golden.py [CASE ...]

Programs of tests/random_networks.py with fixed seeds, and one from the compiler, run by the
reference. Run this again only with a new version of the program file: see docs/fixed-point.md.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neurossm.compile import compile_model
from neurossm.program import Program
from neurossm.program.reference import run

HERE = Path(__file__).parent
STEPS = 12

HALF: dict[str, Any] = {"blocks": 1, "saturating": 0.5}
PROGRAMS: dict[str, dict[str, Any]] = {
    "binary-bytes": {**HALF, "seed": 21, "inputs": 2, "channels": 3, "modes": 2, "blocks": 2},
    "binary-tokens": {**HALF, "seed": 14, "inputs": 5, "kind": "tokens", "norm": "post"},
    "binary-floats": {"seed": 2, "kind": "float", "norm": "none", "modes": 4, "blocks": 1},
    "gsu-bytes": {**HALF, "seed": 16, "mixer": "gsu", "channels": 5, "modes": 2, "blocks": 2},
    "gsu-tokens": {**HALF, "seed": 27, "mixer": "gsu", "kind": "tokens", "inputs": 3},
    "norms-floats": {
        **HALF,
        "seed": 4,
        "inputs": 2,
        "channels": 5,
        "kind": "float",
        "norm": "layer",
        "stream_bits": 22,
    },
    "single": {**HALF, "seed": 5, "channels": 1, "modes": 1, "classes": 1},
}
"""Arguments of `random_program`."""


def main() -> None:
    """Write the cases named in the command, or every one."""
    networks = _networks()
    chosen = sys.argv[1:] or [*PROGRAMS, "compiled"]
    for name in chosen:
        if name == "compiled":
            graph = networks.random_graph(3, channels=4, modes=3, blocks=1)
            write(name, compile_model(graph), networks)
        else:
            write(name, networks.random_program(**PROGRAMS[name]), networks)


def write(name: str, program: Program, networks: ModuleType) -> None:
    """Write a program, two samples of data, and all that they lead to."""
    data = networks.random_data(program.input, len(name), batch=2, steps=STEPS)
    if name.startswith("norms"):  # halves of a step, and their neighbours
        data = networks.sharpened(program.input, data, np.random.default_rng(2))
    ran = run(program, data, record=program.recordings)
    program.save(HERE / f"{name}.h5")
    arrays = {f"tensors/{tensor}": values for tensor, values in ran.tensors.items()}
    arrays |= {f"saturations/{tensor}": np.int64(n) for tensor, n in ran.saturations.items()}
    np.savez_compressed(HERE / f"{name}.npz", data=data, logits=ran.logits, **arrays)


def _networks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("networks", HERE.parent / "random_networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["networks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
