"""Make the golden vectors: python tests/golden/make_golden.py [CASE ...]

Programs of tests/random_networks.py with fixed seeds, and one from the compiler, run by the
reference. Run this again only with a new version of the program file: see docs/fixed-point.md.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neurossm import graph as g
from neurossm.compile import CompileOptions, Widths, compile_model
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
    "last-bytes": {**HALF, "seed": 30, "inputs": 2, "channels": 3, "modes": 2, "pool": "last"},
    "max-floats": {**HALF, "seed": 31, "kind": "float", "channels": 3, "modes": 2, "pool": "max"},
    "stream-tokens": {**HALF, "seed": 33, "kind": "tokens", "inputs": 3, "pool": "none"},
    "single": {**HALF, "seed": 5, "channels": 1, "modes": 1, "classes": 1},
}
"""Arguments of `random_program`."""


def main() -> None:
    """Write the cases named in the command, or every one."""
    networks = _networks()
    chosen = sys.argv[1:] or [*PROGRAMS, "compiled", "neurons", "peak", "soft-resets"]
    for name in chosen:
        if name == "neurons":
            write(name, neurons(), networks)
        elif name == "soft-resets":
            write(name, soft_resets(), networks)
        elif name == "peak":
            write(name, peak(networks), networks)
        elif name == "compiled":
            graph = networks.random_graph(3, channels=4, modes=3, blocks=1)
            write(name, compile_model(graph), networks)
        else:
            write(name, networks.random_program(**PROGRAMS[name]), networks)


def neurons() -> Program:
    """Return a program of LIF and Relu that clips states and outputs."""
    rng = np.random.default_rng(6)

    def linear(name: str, source: str, rows: int, columns: int) -> g.LinearNode:
        weight, bias = rng.normal(size=(rows, columns)), rng.normal(0, 0.3, rows)
        return g.LinearNode(name, (source,), weight, bias, layer=name[-1])

    decay, threshold = rng.uniform(0.5, 1, 5), rng.uniform(0.05, 0.8, 5)
    decay[0], threshold[4] = 1.0, 60.0
    graph = g.Graph(
        (
            g.InputNode("input", (), "uint8", 2, 0.0, 1.0, 1 / 255),
            linear("encoder", "input", 5, 2),
            g.LIFNode("lif1", ("encoder",), decay, threshold, layer="1"),
            linear("mix1", "lif1", 5, 5),
            g.ReLUNode("relu1", ("mix1",), layer="1"),
            g.AddNode("add1", ("relu1", "encoder"), layer="1"),
            g.LIFNode("lif2", ("add1",), decay[::-1], threshold, layer="2"),
            linear("mix2", "lif2", 5, 5),
            g.ReLUNode("relu2", ("mix2",), layer="2"),
            g.MeanNode("mean", ("relu2",)),
            linear("decoder", "mean", 3, 5),
        )
    )
    options = CompileOptions(
        widths=Widths(state=9, drive=8), scaling="calibrated", headroom_bits=0, rounding="nearest"
    )
    calm = np.full((1, 4, 2), 60, np.uint8)  # real data go further, and are clipped
    return compile_model(graph, options=options, calibration=calm)


def peak(networks: ModuleType) -> Program:
    """Return a GSU whose thresholds follow the largest activation of each step."""
    graph = networks.random_graph(8, mixer="gsu", channels=5, modes=2, blocks=2)
    nodes = (
        replace(node, threshold=None, factor=(0.15, 0.5)[node.layer.endswith("1")])
        if isinstance(node, g.TernaryNode)
        else node
        for node in graph.nodes
    )
    return compile_model(graph.with_nodes(nodes), "cpu", CompileOptions(rounding="nearest"))


def soft_resets() -> Program:
    """Return a program of AdLIF, ResonateFire and Softmax on counts that clips states."""
    rng = np.random.default_rng(8)

    def linear(name: str, source: str, rows: int, columns: int) -> g.LinearNode:
        weight, bias = rng.normal(0, 0.7, (rows, columns)), rng.normal(0.2, 0.3, rows)
        return g.LinearNode(name, (source,), weight, bias, layer=name[-1])

    decay, ones = rng.uniform(0.3, 0.95, 5), np.ones(5)
    pole = np.array([0.9, 0.99, 0.4, 1.02, 0.95]) * np.exp(1j * rng.uniform(-1, 2, 5))
    graph = g.Graph(
        (
            g.InputNode("input", (), "counts", 3, 0.0, 6.0, 1.0),
            linear("mix1", "input", 5, 3),
            g.AdLIFNode(
                *("adlif1", ("mix1",), 1 - decay, ones, decay, rng.uniform(0.5, 0.99, 5)),
                *(rng.uniform(-0.1, 1, 5), rng.uniform(-0.5, 1, 5), ones),
                layer="1",
            ),
            linear("mix2", "adlif1", 5, 5),
            g.ResonateFireNode(
                *("fire2", ("mix2",), 0.7 * ones, 0.5 * ones, pole, 0.5 * ones + 0.1j),
                layer="2",
            ),
            linear("mix3", "fire2", 4, 5),
            g.SoftmaxNode("softmax", ("mix3",), layer="3"),
            g.MeanNode("mean", ("softmax",)),
            linear("decoder", "mean", 4, 4),
        )
    )
    options = CompileOptions(
        widths=Widths(state=9), scaling="calibrated", headroom_bits=0, rounding="nearest"
    )
    calm = np.ones((1, 4, 3), np.uint8)  # real data go further, and are clipped
    return compile_model(graph, options=options, calibration=calm)


def write(name: str, program: Program, networks: ModuleType) -> None:
    """Write a program, two samples of data, and all that they lead to."""
    data = networks.random_data(program.input, len(name), batch=2, steps=STEPS)
    if name.startswith("norms"):  # halves of a step, and their neighbours
        data = networks.sharpened(program.input, data, np.random.default_rng(2))
    ran = run(program, data, record=program.recordings)
    program.save(HERE / f"{name}.h5")
    arrays = {f"tensors/{tensor}": values for tensor, values in ran.tensors.items()}
    arrays |= {f"saturations/{tensor}": np.int64(n) for tensor, n in ran.saturations.items()}
    arrays = {key.replace(":state", ".state"): values for key, values in arrays.items()}
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
