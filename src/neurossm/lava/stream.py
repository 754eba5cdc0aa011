"""What all process models of the pipeline share: schedule, traces, and errors that say where."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from neurossm.errors import InputError, RunError
from neurossm.lava.schedule import Schedule


class StreamProcess(AbstractProcess):  # type: ignore[misc]
    """A process whose samples can begin anew between two runs."""

    def __init__(self, **proc_params: Any) -> None:
        super().__init__(**proc_params)
        self.proc_params.overwrite("name", self.name)  # Lava's own, where none was given
        self.begin = Var(shape=(1,), init=0)

    def reset(self) -> None:
        """Begin a sample with what is sent next, as a fresh start would; call it between two runs.

        What is still on its way through the pipeline is computed as if nothing had happened.
        """
        if self.runtime is not None and self.runtime._is_started:  # else it is as fresh as can be
            self.begin.set(np.ones(1))


class StreamModel(PyLoihiProcessModel):  # type: ignore[misc]
    """A model that works on a stream of samples and rests while none of them passes.

    Subclasses implement `advance`. They read from `proc_params`: `schedule`, and `trace`, the
    `.npy` files (one row per step of the stream) to write tensors to, by the tensor's name. Writing
    them here costs microseconds; `Var.get` costs 20 to 65 for each number.

    The variable `begin` (see `StreamProcess`) counts Lava's steps anew: a process of pipeline depth
    n goes on with what is on its way to it for n steps, and then begins as it did at first.
    """

    begin: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.schedule: Schedule = proc_params["schedule"]
        self.traces = _open_traces(proc_params.get("trace") or {})
        self._origin = 0  # the time step after which the schedule counts
        self._next_origins: deque[int] = deque()

    def on_var_update(self) -> None:
        """Notice that samples are to begin anew."""
        if self.begin[0]:
            self.begin[0] = 0
            self._next_origins.append(self.time_step)

    def run_spk(self) -> None:
        """Do one step of Lava's time."""
        while self._next_origins and self.schedule.started(self.time_step - self._next_origins[0]):
            self._origin = self._next_origins.popleft()
        try:
            self.advance(self.schedule.position(self.time_step - self._origin))
        except Exception as error:
            where = f"{self.proc_params['name']}, step {self.time_step}"
            raise RunError(f"{where}: {error}") from error

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
