"""A file of Lava's netx with a layer of SLAYER's and a program of ours behind it.

    python examples/lava/netx_file.py [network.net]

`export_netx` puts the program behind whatever layers a file has: here one of three
integrate-and-fire neurons, written by hand where lava-dl would write a trained network.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from block import small_program

from neurossm import inspect
from neurossm.interchange import export_netx
from neurossm.lava import run_netx

STEPS = 40


def write_slayer(path: Path) -> None:
    """Write a dense layer of one neuron that reads two spikes."""
    with h5py.File(path, "w") as file:
        layer = file.create_group("layer/0")
        layer["type"], layer["shape"] = np.bytes_("dense"), np.array([1])
        layer["weight"] = np.array([[60, -20]])
        neuron = layer.create_group("neuron")
        neuron["type"] = np.bytes_("CUBA")
        fields = {"iDecay": 4096, "vDecay": 0, "vThMant": 95, "refDelay": 1}
        for name, value in fields.items():
            neuron[name] = value


def main() -> None:
    """Write the file, show what it holds, and run it."""
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "network.net"
        write_slayer(Path(folder) / "slayer.net")
        export_netx(small_program(), path, behind=Path(folder) / "slayer.net")
        for row in inspect(path).rows:
            print("layer", *row)
        spikes = np.random.default_rng(0).integers(0, 2, (2, 3 * STEPS))
        sent = run_netx(path, spikes, reset_interval=STEPS)
    logits = sent[:, sent.any(axis=0)]
    print(f"logits of {logits.shape[1]} samples of {STEPS} steps:", logits.T.tolist())


if __name__ == "__main__":
    main()
