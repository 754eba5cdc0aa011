"""Streaming: one step at a time, for data that arrive as the program runs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import IntArray
from neurossm.checks import check_count
from neurossm.engine.cpu.batches import ROWS, recorded
from neurossm.engine.cpu.planner import lower
from neurossm.engine.cpu.workspace import Workspace
from neurossm.errors import InputError
from neurossm.graph.data import as_data
from neurossm.program import Program
from neurossm.program.arithmetic import Tally
from neurossm.program.running import check_recordable


class Session:
    """A program in the middle of its input: every step gives the logits so far.

    The memory taken does not grow with the number of steps. After the steps of a sample, logits,
    tensors and saturations are those of `Program.run` on the whole sample.

    Parameters
    ----------
    program
        The integer program.
    streams
        None for one stream, whose steps are (size); or a number of streams that advance together,
        whose steps are (streams, size).
    record
        Tensors and states that `tensors` shows after each step.

    Examples
    --------
    >>> session = program.session()                                     # doctest: +SKIP
    >>> for sample in source:                                           # doctest: +SKIP
    ...     logits = session.step(sample)
    >>> for chunk in source:                                            # doctest: +SKIP
    ...     logits = session.feed(chunk)  # after each of its steps
    """

    def __init__(
        self, program: Program, streams: int | None = None, record: Iterable[str] = ()
    ) -> None:
        """Begin at step 0."""
        if streams is not None:
            check_count("streams", streams)
        self.program = program
        self.steps = 0
        self._last = 0
        self._streams = streams
        self._names = check_recordable(program, record)
        self._source = program.readout.inputs[0]
        self._tape = lower(program, tuple(dict.fromkeys((*self._names, self._source))))
        count = streams or 1
        self._workspace = Workspace(self._tape, count, max(1, ROWS // count))
        self._counts = self._tape.counts()
        self._pooled = self._nothing()

    def step(self, x: ArrayLike) -> IntArray:
        """Advance one step; return the logits if the input ended now.

        Parameters
        ----------
        x
            (size), or a single number where the input has one channel; with several streams
            (streams, size).

        Returns
        -------
        logits
            (classes) int64, or (streams, classes).

        Raises
        ------
        InputError
            Data that do not suit the input, or more steps than `max_steps`.
        """
        x = as_data(self.program.input, x, "session")
        self.advance(x[None] if self._streams is None else np.expand_dims(x, 1))
        return self.logits

    def feed(self, x: ArrayLike) -> IntArray:
        """Advance many steps; return the logits after each of them.

        A step costs a fraction of one given alone.

        Parameters
        ----------
        x
            (steps, size), or (streams, steps, size).

        Returns
        -------
        logits
            (steps, classes) int64, or (streams, steps, classes).

        Raises
        ------
        InputError
            As for `step`.
        """
        data, parts = self._encoded(x), []
        for begin in range(0, data.shape[1], self._workspace.chunk):
            piece = data[:, begin : begin + self._workspace.chunk]
            before, first = self._kept(), self.steps + 1
            self._run(piece)
            values = recorded(self.program, self._workspace, self._source, piece.shape[1])
            kept = self.program.readout.after_each(before, values)  # (streams, steps, C)
            steps = np.arange(first, self.steps + 1)
            parts.append(self.program.readout.decode(kept, steps, Tally()))
        return self._plain(np.concatenate(parts, axis=1))

    def advance(self, x: ArrayLike) -> None:
        """Advance many steps: x (steps, size), or (streams, steps, size)."""
        self._run(self._encoded(x))

    def _encoded(self, x: ArrayLike) -> IntArray:
        """Return steps as integers (streams, steps, C), if they may follow."""
        x = as_data(self.program.input, x, "session")
        if self._streams is None:
            x = x[None]
        if x.ndim == 2 and self.program.input.out.channels == 1:
            x = x[:, :, None]
        if x.shape[0] != self._workspace.samples:
            raise InputError(
                f"session: {x.shape[0]} streams given, {self._workspace.samples} begun"
            )
        data = self.program.encode(x, "session")
        limit = self.program.max_steps
        if self.steps + data.shape[1] > limit:
            raise InputError(
                f"session: step {self.steps + data.shape[1]} is beyond max_steps = {limit}, which "
                "the readout's sum is proved for; reset it, or compile with a larger --max-steps"
            )
        return data

    def _run(self, data: IntArray) -> None:
        data = data if data.flags.c_contiguous else np.ascontiguousarray(data)
        steps, readout = data.shape[1], self.program.readout
        stride = steps if self._tape.sums_readout else self._workspace.chunk
        for begin in range(0, steps, stride):
            end = min(begin + stride, steps)
            self._workspace.advance(data, begin, end, self._counts)
            if not self._tape.sums_readout:
                values = recorded(self.program, self._workspace, self._source, end - begin)
                self._pooled = readout.after(self._pooled, values)
        self.steps += steps
        self._last = steps

    def _kept(self) -> IntArray:
        """Return what the readout keeps of the steps so far, (streams, C)."""
        return self._workspace.total() if self._tape.sums_readout else self._pooled

    def _nothing(self) -> IntArray:
        readout = self.program.readout
        return np.full((self._workspace.samples, readout.weight.shape[1]), readout.empty)

    @property
    def logits(self) -> IntArray:
        """The logits if the input ended now, (classes) or (streams, classes)."""
        if self.steps == 0:
            raise InputError("session: no logits before the first step")
        logits = self.program.readout.decode(self._kept(), self.steps, Tally())
        return self._plain(logits)

    @property
    def tensors(self) -> dict[str, IntArray]:
        """The recorded tensors of the last step, (C) or (streams, C); states (..., H, N)."""
        if self.steps == 0:
            raise InputError("session: no tensors before the first step")
        last = (self._last - 1) % self._workspace.chunk + 1
        return {
            name: self._plain(recorded(self.program, self._workspace, name, last)[:, -1])
            for name in self._names
        }

    @property
    def saturations(self) -> dict[str, int]:
        """Integers clipped so far, by tensor, over all streams."""
        tally = Tally()
        if self.steps:
            self.program.readout.decode(self._kept(), self.steps, tally)
        return self._tape.clipped(self._counts) | tally

    def reset(self) -> None:
        """Begin a new input at step 0."""
        self._workspace.reset()
        self._pooled = self._nothing()
        self._counts[:] = 0
        self.steps = 0

    def _plain(self, values: IntArray) -> IntArray:
        return values[0] if self._streams is None else values
