"""A program lowered to the instructions of the CPU engine, and the memory it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray, IntArray
from neurossm.engine.cpu.kernels import columns as c
from neurossm.engine.cpu.kernels.simd import ROW


def padded(size: int, multiple: int = ROW) -> int:
    """Round up to a multiple."""
    return -(-size // multiple) * multiple


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies in a row of the work memory, and whether as floats or as integers."""

    offset: int
    channels: int
    is_float: bool

    @property
    def stride(self) -> int:
        """Words from one row to the next."""
        return padded(self.channels)


@dataclass(frozen=True, eq=False)
class Tape:
    """Instructions, parameters, and the sizes of what they work on.

    Parameters
    ----------
    instructions
        (n, columns), see `kernels.machine`.
    floats, ints, singles, shorts, tiny
        Parameters, by the type of number.
    words
        Work memory per row, state per sample, scratch per row: 64-bit words.
    names
        What each place of the tally counts.
    tensors
        Where the tensors to record are after each chunk.
    sums
        Where the readout's sum, and counts of nonzero integers, are in the state of a sample, and
        their channels; the readout's name is the empty one.
    """

    instructions: IntArray
    floats: FloatArray
    ints: IntArray
    singles: NDArray[np.float32]
    shorts: NDArray[np.int16]
    tiny: NDArray[np.int8]
    work_words: int
    state_words: int
    scratch_words: int
    names: tuple[str, ...]
    tensors: dict[str, Tensor]
    sums: dict[str, tuple[int, int]]

    @property
    def sums_readout(self) -> bool:
        """Whether it adds up what the readout reads."""
        return "" in self.sums

    def counts(self) -> IntArray:
        """Return a tally of nothing yet."""
        return np.zeros(len(self.names) + 1, np.int64)

    def clipped(self, counts: IntArray) -> dict[str, int]:
        """Return a tally by name, without zeros."""
        return {name: int(n) for name, n in zip(self.names, counts, strict=False) if n}


@dataclass
class TapeBuilder:
    """Collects instructions and parameters, and hands out memory."""

    rows: list[IntArray] = field(default_factory=list)
    floats: list[FloatArray] = field(default_factory=list)
    ints: list[IntArray] = field(default_factory=list)
    singles: list[NDArray[np.float32]] = field(default_factory=list)
    shorts: list[NDArray[np.int16]] = field(default_factory=list)
    tiny: list[NDArray[np.int8]] = field(default_factory=list)
    work_words: int = 0
    state_words: int = 0
    scratch_words: int = 0
    names: list[str] = field(default_factory=list)
    free: dict[int, list[int]] = field(default_factory=dict)

    def emit(self, kind: int, **columns: int) -> None:
        """Append an instruction."""
        row = np.zeros(c.COUNT, np.int64)
        row[c.KIND] = kind
        row[c.RECORD] = -1
        for name, value in columns.items():
            row[c.NAMES[name]] = value
        self.rows.append(row)

    def allocate(self, words: int) -> int:
        """Return room for so many words per row, reusing what was released."""
        words = padded(words)
        if self.free.get(words):
            return self.free[words].pop()
        self.work_words += words
        return self.work_words - words

    def release(self, offset: int, words: int) -> None:
        """Give room back."""
        self.free.setdefault(padded(words), []).append(offset)

    def state(self, words: int) -> int:
        """Return room for so many words that live from chunk to chunk."""
        self.state_words += padded(words)
        return self.state_words - padded(words)

    def scratch(self, words: int) -> None:
        """Ask for so many words per row within one instruction."""
        self.scratch_words = max(self.scratch_words, words)

    def tally(self, name: str) -> int:
        """Return the place where integers clipped in tensor `name` are counted."""
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def add_floats(self, *arrays: Any) -> int:
        """Append parameters in 64-bit floats; return where they begin."""
        return _append(self.floats, np.float64, *arrays)

    def add_ints(self, *arrays: Any) -> int:
        """Append parameters in 64-bit integers; return where they begin."""
        return _append(self.ints, np.int64, *arrays)

    def add_weights(self, weights: IntArray, dtype: type[np.generic]) -> int:
        """Append packed weights as int8, int16 or float32; return where they begin."""
        pools: dict[type[np.generic], Any] = {
            np.int8: self.tiny,
            np.int16: self.shorts,
            np.float32: self.singles,
        }
        return _append(pools[dtype], dtype, weights)

    def add_columns(self, *columns: Any) -> int:
        """Append floats per channel, each array padded to whole rows; return where they begin."""
        return self.add_floats(*(_padded(np.asarray(column, np.float64)) for column in columns))

    def finish(self, tensors: dict[str, Tensor], sums: dict[str, tuple[int, int]]) -> Tape:
        """Return the tape."""
        return Tape(
            np.stack(self.rows),
            _joined(self.floats, np.float64),
            _joined(self.ints, np.int64),
            _joined(self.singles, np.float32),
            _joined(self.shorts, np.int16),
            _joined(self.tiny, np.int8),
            self.work_words,
            max(self.state_words, ROW),
            self.scratch_words,
            tuple(self.names),
            tensors,
            sums,
        )


def _append(pool: list[NDArray[Any]], dtype: Any, *arrays: Any) -> int:
    """Append arrays, each run of them at a multiple of ROW, where vectors load fastest."""
    flat = np.concatenate([np.ravel(np.asarray(array)).astype(dtype) for array in arrays])
    start = sum(part.size for part in pool)
    pool.append(_padded(flat))
    return start


def _padded(flat: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([flat, np.zeros(padded(flat.size) - flat.size, flat.dtype)])


def _joined(pool: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([*pool, np.zeros(ROW, dtype)])
