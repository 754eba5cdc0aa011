"""A network of NIR: read, compiled to integers, run on Lava, and compared with the floats.

    python examples/lava/nir_file.py [network.nir]

Without a file it writes one: two layers of current-based leaky integrate-and-fire neurons.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import nir
import numpy as np

from neurossm.compile import compile_model
from neurossm.graph.evaluate import evaluate
from neurossm.interchange import import_nir

DT = 1e-3
STEPS = 100


def write(path: Path) -> None:
    """Write two layers with random weights."""
    rng = np.random.default_rng(2)
    layers = []
    for inputs, neurons in ((3, 8), (8, 4)):
        ones = np.ones(neurons)
        layers.append(nir.Linear(rng.normal(0.4, 0.8, (neurons, inputs))))
        layers.append(
            nir.CubaLIF(5e-3 * ones, 10e-3 * ones, 4 * ones, 0 * ones, ones, 0 * ones, 2 * ones)
        )
    nir.write(str(path), nir.NIRGraph.from_list(*layers))


def main() -> None:
    """Show how many spikes are those of the float graph."""
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "network.nir"
        if len(sys.argv) < 2:
            write(path)
        graph = import_nir(path, dt=DT, input="counts:1")
    data = np.random.default_rng(3).integers(0, 2, (2, STEPS, graph.input.size))
    spiking = [node.name for node in graph.nodes if node.emits == "spikes"]
    floats = evaluate(graph, data, record=spiking)
    integers = compile_model(graph).run(data, engine="lava", record=spiking).tensors
    for name in spiking:
        equal = (integers[name] == floats[name]).mean()
        print(f"{name}: rate {floats[name].mean():.2f}, {equal:.2%} of the spikes equal")


if __name__ == "__main__":
    main()
