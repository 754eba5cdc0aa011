"""What a worker is asked to run, in a file of its own."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurossm.arrays import IntArray
from neurossm.lava.plan import Plan

_FILE = "job.pickle"


@dataclass(frozen=True, eq=False)
class Job:
    """A plan to run on the data of a `.npy` file, writing tensors to `.npy` files.

    `lengths` are the steps of each sample, or of all; `target` is hardware to run it on, by
    default Lava's simulation.
    """

    plan: Plan
    data: Path
    lengths: IntArray | int
    traces: Mapping[str, Path] = field(default_factory=dict)
    target: str | None = None

    def save(self, folder: Path) -> None:
        """Write the job to a folder."""
        with open(folder / _FILE, "wb") as file:
            pickle.dump(self, file)

    @staticmethod
    def load(folder: Path) -> Job:
        """Read the job of a folder."""
        with open(folder / _FILE, "rb") as file:
            job: Job = pickle.load(file)
        return job
