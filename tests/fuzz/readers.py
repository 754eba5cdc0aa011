"""Every reader of files: how its files are made, damaged and read. One line each."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Protocol

import data_files
import hdf5_files
import numpy as np
import text_files
import torch_files
from mutations import Random


class Reader(Protocol):
    """What reads one kind of file."""

    def make(self, rng: Random, folder: Path) -> Path:
        """Write a damaged file; everything about it follows from the random numbers."""

    def read(self, path: Path, rng: Random) -> None:
        """Do what commands do with such a file."""


_READERS = {
    "program": (hdf5_files.Programs, 14),
    "graph": (hdf5_files.Graphs, 12),
    "checkpoint": (torch_files.Checkpoints, 12),
    "import": (torch_files.Imports, 12),
    "resume": (torch_files.Unfinished, 5),
    "safetensors": (torch_files.Safetensors, 8),
    "npz": (data_files.Samples, 10),
    "npy": (data_files.Arrays, 5),
    "profile": (text_files.Profiles, 5),
    "widths": (text_files.Widths, 5),
    "train config": (text_files.TrainConfigs, 5),
    "yaml": (text_files.Experiments, 5),
    "idx": (data_files.Idx, 3),
    "data.bin": (data_files.Emitted, 3),
}
SHARES = {name: share for name, (_, share) in _READERS.items()}
"""How the cases are shared out; relative numbers."""


def reader(name: str, folder: Path) -> Reader:
    """Return a reader; the good files that it begins with go into the folder."""
    return _READERS[name][0](folder)


def randomness(name: str, seed: int, case: int) -> Random:
    """Return the random numbers that make a case."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed, case])
