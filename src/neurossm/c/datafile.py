"""Samples, and what a program makes of them, as the emitted `main` reads them.

The format is described at the top of the emitted `main.c`.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import IntArray
from neurossm.c.lowering import input_kind
from neurossm.c.source import CSource
from neurossm.graph.data import check_data
from neurossm.program import Program
from neurossm.program.reference import run

MAGIC = b"NEUROSSM"
_BATCH_BYTES = 1 << 28


def data_bytes(program: Program, source: CSource, data: ArrayLike) -> bytes:
    """Return samples (B, L, size) with their logits and the sums over all tensors.

    Raises
    ------
    InputError
        The data do not suit the program.
    """
    checked = check_data(program.input, data)
    x = program.encode(checked)
    kind = input_kind(source.lowering.program.input)
    names = tuple(one.name for one in source.lowering.shown)
    sums = {name: Sum() for name in names}
    logits: list[IntArray] = []
    for sample in checked:
        ran = run(program, sample[None], record=names)
        logits.append(ran.logits[:, -1] if program.readout.streams else ran.logits)
        for name in names:
            sums[name].add(ran.tensors[name])
    samples, steps, channels = x.shape
    classes = program.readout.out.channels
    head = struct.pack("<IIIIII", 1, ord(kind.letter), samples, channels, classes, 3)
    return b"".join(
        (
            MAGIC,
            head,
            np.full(samples, steps, "<u4").tobytes(),
            x.astype(f"<{kind.letter}").tobytes(),
            np.concatenate(logits).astype("<i8").tobytes(),
            np.array([one.value for one in sums.values()], "<u8").tobytes(),
        )
    )


class Sum:
    """The sum over a tensor that changes if one integer does."""

    def __init__(self) -> None:
        self.value = 0
        self._count = 0

    def add(self, values: NDArray[np.int64]) -> None:
        """Take integers in, in their order."""
        flat = values.astype(np.int64).reshape(-1).view(np.uint64)
        place = np.arange(self._count, self._count + flat.size, dtype=np.uint64)
        factor = np.uint64(2) * place * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
        self.value = (self.value + int((flat * factor).sum(dtype=np.uint64))) % (1 << 64)
        self._count += flat.size
