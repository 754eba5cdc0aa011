"""Streaming in C: one step at a time, or many, for data that arrive as the program runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import IntArray
from neurossm.c.engine import STYLE, LoadedNetwork, library_of, watched
from neurossm.checks import check_count
from neurossm.errors import InputError
from neurossm.graph.data import as_data
from neurossm.program import Program
from neurossm.program.running import check_recordable


class Session:
    """A program in the middle of its input, in C; see `neurossm.engine.cpu.Session`."""

    style = STYLE

    def __init__(
        self, program: Program, streams: int | None = None, record: Iterable[str] = ()
    ) -> None:
        """Begin at step 0."""
        if streams is not None:
            check_count("streams", streams)
        self.program = program
        self.steps = 0
        self._streams = streams
        self._names = check_recordable(program, record)
        self._library = library_of(program, self.style, watched(program, self._names, self.style))
        self._networks = [LoadedNetwork(self._library) for _ in range(streams or 1)]
        self._last: list[dict[str, NDArray[Any]]] = []

    def step(self, x: ArrayLike) -> IntArray:
        """Advance one step, (size) or (streams, size); return the logits if the input ended now.

        Raises
        ------
        InputError
            Data that do not suit the input, or more steps than `max_steps`.
        """
        x = as_data(self.program.input, x, "session")
        self.advance(np.expand_dims(x, 0 if self._streams is None else 1))
        return self.logits

    def feed(self, x: ArrayLike) -> IntArray:
        """Advance many steps, as `advance`; return the logits after each of them."""
        x = as_data(self.program.input, x, "session")
        if self._streams is None:
            return np.stack([self.step(one) for one in x])
        return np.stack([self.step(x[:, t]) for t in range(x.shape[1])], axis=1)

    def advance(self, x: ArrayLike) -> None:
        """Advance many steps: x (steps, size), or (streams, steps, size)."""
        x = as_data(self.program.input, x, "session")
        if self._streams is None:
            x = x[None]
        if x.ndim == 2 and self.program.input.out.channels == 1:
            x = x[:, :, None]
        if x.shape[0] != len(self._networks):
            raise InputError(f"session: {x.shape[0]} streams given, {len(self._networks)} begun")
        data = self.program.encode(x, "session")
        steps, limit = data.shape[1], self.program.max_steps
        if self.steps + steps > limit:
            raise InputError(
                f"session: step {self.steps + steps} is beyond max_steps = {limit}, which "
                "the readout's sum is proved for; reset it, or compile with a larger --max-steps"
            )
        self._last = [
            network.record(one, self._names)
            for network, one in zip(self._networks, data, strict=True)
        ]
        self.steps += steps

    @property
    def logits(self) -> IntArray:
        """The logits if the input ended now, (classes) or (streams, classes)."""
        if self.steps == 0:
            raise InputError("session: no logits before the first step")
        return self._plain([network.read()[0] for network in self._networks])

    @property
    def tensors(self) -> dict[str, IntArray]:
        """The recorded tensors of the last step, (C) or (streams, C); states (..., H, N)."""
        if self.steps == 0:
            raise InputError("session: no tensors before the first step")
        return {
            name: self._plain([kept[name][-1].astype(np.int64) for kept in self._last])
            for name in self._names
        }

    @property
    def saturations(self) -> dict[str, int]:
        """Integers clipped so far, by tensor, over all streams."""
        total: Counter[str] = Counter()
        for network in self._networks if self.steps else ():
            total += network.read()[2]
        return {name: count for name, count in total.items() if count}

    def reset(self) -> None:
        """Begin a new input at step 0."""
        for network in self._networks:
            network.reset()
        self.steps = 0

    def _plain(self, values: list[IntArray]) -> IntArray:
        return values[0] if self._streams is None else np.stack(values)
