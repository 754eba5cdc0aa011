"""Write a small file of every kind that tests/golden lacks: `python tests/kept/make_kept.py`.

Run it when a kind gets a new version, into files of that version's name; never over old ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from neurossm import compile_model, export
from neurossm.c.datafile import data_bytes
from neurossm.c.source import source_of
from neurossm.compile.precision import Precision, save_precision
from neurossm.datafile import save_logits
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.models.checkpoint import load, save
from neurossm.trace import write_trace

HERE = Path(__file__).parent


def main() -> None:
    """Write them."""
    torch.manual_seed(5)
    sizes = {"classes": 3, "n_layers": 1, "d_model": 4, "d_state": 4}
    network = Network(ModelConfig("binary-s4d", InputSpec.uint8(1), **sizes)).eval()
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (3, 20, 1)).astype(np.uint8)
    lengths = np.array([20, 1, 13])
    save(HERE / "checkpoint-1.pt", network, x)
    save(HERE / "checkpoint-2.pt", network, x, calibration_lengths=lengths)
    graph = export(load(HERE / "checkpoint-1.pt"))
    graph.save(HERE / "graph-2.h5")
    program = compile_model(graph)
    program.save(HERE / "program-2.h5")
    np.savez(HERE / "DATA.npz", x=x, y=np.array([0, 2, 1]), lengths=lengths)
    save_logits(HERE / "OUT.npz", program, program.run(x, "reference", lengths=lengths))
    write_trace(HERE / "trace-1.h5", program, x, lengths=lengths)
    save_precision(HERE / "precision-1.toml", Precision(layers={"blocks.0": {"state": 20}}))
    source = source_of(program, "network", "portable")
    (HERE / "data-1.bin").write_bytes(data_bytes(program, source, x))


if __name__ == "__main__":
    sys.exit(main())
