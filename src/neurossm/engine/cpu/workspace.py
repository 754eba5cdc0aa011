"""Memory for some samples, and their way through a tape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.engine.cpu.kernels import machine
from neurossm.engine.cpu.tape import Tape

_ALIGNMENT = 64
_SCRATCH = (np.float64, np.float32, np.int16, np.uint8)


class Workspace:
    """Runs `samples` samples at a time, `chunk` steps at a time, in memory of its own.

    The states are kept from call to call, so that a sample may come in pieces.
    """

    def __init__(self, tape: Tape, samples: int, chunk: int) -> None:
        """Allocate; no memory depends on the length of the samples."""
        self.tape, self.samples, self.chunk = tape, samples, chunk
        rows = samples * chunk
        self._work = _words(tape.work_words * rows)
        self._states = _words(tape.state_words * samples)
        self._scratch = _words(max(tape.scratch_words * rows, 1))
        self._parameters = (tape.floats, tape.ints, tape.singles, tape.shorts, tape.tiny)

    def reset(self) -> None:
        """Begin new samples."""
        self._states[:] = 0

    def advance(self, data: IntArray, start: int, stop: int, tally: IntArray) -> None:
        """Run steps [start, stop) of data (samples, L, C); add what was clipped to `tally`."""
        machine.execute(
            self.tape.instructions,
            self._parameters,
            data,
            (start, stop, self.chunk),
            (self._work, self._work.view(np.int64)),
            (self._states, self._states.view(np.int64)),
            tuple(self._scratch.view(kind) for kind in _SCRATCH),
            tally,
        )

    def total(self, key: str = "") -> IntArray:
        """Return the readout's sum over time, or a count, (samples, channels)."""
        begin, channels = self.tape.sums[key]
        states = self._states.view(np.int64).reshape(self.samples, -1)
        return states[:, begin : begin + channels].copy()

    def tensor(self, name: str, steps: int) -> IntArray:
        """Return a recorded tensor of the chunk of `steps` just run, (samples, steps, ...)."""
        place = self.tape.tensors[name]
        begin = place.offset * self.samples * self.chunk
        size = self.samples * steps * place.stride
        values: NDArray[Any] = self._work[begin : begin + size]
        if not place.is_float:
            values = values.view(np.int64)
        rows = values.reshape(self.samples, steps, place.stride)[:, :, : place.channels]
        return rows.astype(np.int64)


def _words(size: int) -> NDArray[np.float64]:
    """Return zeros that begin where vectors load fastest."""
    raw = np.zeros(size * 8 + _ALIGNMENT, np.uint8)
    skip = -raw.ctypes.data % _ALIGNMENT
    return raw[skip : skip + size * 8].view(np.float64)
