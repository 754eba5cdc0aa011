"""What all process models of the pipeline share: schedule, traces, and errors that say where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from numpy.typing import NDArray

from neurossm.errors import InputError, RunError
from neurossm.lava.schedule import Schedule


class StreamModel(PyLoihiProcessModel):  # type: ignore[misc]
    """A model that works on a stream of samples and rests while none of them passes.

    Subclasses implement `advance`. They read from `proc_params`: `schedule`, and `trace`, the
    `.npy` files (one row per step of the stream) to write tensors to, by the tensor's name. Writing
    them here costs microseconds; `Var.get` costs 20 to 65 for each number.
    """

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.schedule: Schedule = proc_params["schedule"]
        self.traces = _open_traces(proc_params.get("trace") or {})

    def run_spk(self) -> None:
        """Do one step of Lava's time."""
        try:
            self.advance(self.schedule.position(self.time_step))
        except Exception as error:
            name = self.proc_params.get("name") or type(self).__name__
            raise RunError(f"{name}, step {self.time_step}: {error}") from error

    def advance(self, position: int | None) -> None:
        """Receive, compute and send.

        `position` counts valid steps from 0 and is None while there is none. Every port must be
        served at every step, also then.
        """
        raise NotImplementedError

    def trace(self, position: int, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Write what was asked for of these tensors, each (channels), to its file."""
        for name, rows in self.traces.items():
            if name in tensors:
                rows[position] = tensors[name]


def _open_traces(files: Mapping[str, str | Path]) -> dict[str, NDArray[Any]]:
    try:
        return {name: np.load(path, mmap_mode="r+") for name, path in files.items()}
    except (OSError, ValueError) as error:
        raise InputError(f"trace: {error}") from error
