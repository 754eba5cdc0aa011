"""Traces: what every tensor was at every step, written to HDF5 while the program runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.engine.fast import ROWS, recorded_shape, run_to
from neurossm.program import SSM, Add, Program, Run, Spike, Ternary
from neurossm.program.reference import Progress, check_recordable
from neurossm.storage import write_file, write_json

SCHEMA = "neurossm-trace"
VERSION = 1


def default_names(program: Program) -> tuple[str, ...]:
    """Return the spikes and the residual stream: what a trace holds unless told otherwise."""
    return tuple(op.name for op in program.ops if isinstance(op, (Spike, Ternary, Add)))


def write_trace(
    path: str | Path,
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Run:
    """Run samples and write recorded tensors to an HDF5 file of schema `neurossm-trace`.

    `tensors/NAME` is (B, L, C), states are (B, L, H, N), in integers just wide enough, with the
    attributes `bits` and, but for states, `exponent`; `logits` is (B, classes). The file is written
    piece by piece, so that traces may be larger than memory, and appears under its name only when
    it is complete.

    Parameters
    ----------
    path
        The file to write.
    program, data, progress, threads
        As for `run`.
    record
        Tensors to write; by default `default_names`.

    Returns
    -------
    Run
        Logits and saturations, without tensors.

    Raises
    ------
    InputError
        As `run` does; or the file cannot be written.
    """
    names = check_recordable(program, default_names(program) if record is None else record)
    runs: list[Run] = []
    lock = Lock()

    def fill(file: h5py.File) -> None:
        group = file.create_group("tensors", track_order=True)
        for name in names:
            _create(group, program, name, data.shape[:2])

        def sink(name: str, sample: int, step: int, values: IntArray) -> None:
            with lock:
                group[name][sample : sample + len(values), step : step + values.shape[1]] = values

        run = run_to(program, data, names, sink, progress=progress, threads=threads)
        file.create_dataset("logits", data=run.logits)
        write_json(file, "saturations", run.saturations)
        file.attrs["target"] = program.target
        runs.append(run)

    write_file(Path(path), SCHEMA, VERSION, fill)
    return runs[0]


def _create(group: h5py.Group, program: Program, name: str, samples: tuple[int, ...]) -> None:
    shape = (*samples, *recorded_shape(program, name))
    owner, is_state, _ = name.rpartition(".state_")
    op = program[owner if is_state else name]
    bits = op.out.bits
    if is_state:
        assert isinstance(op, SSM)
        bits = op.state_bits
    dataset = group.create_dataset(
        name,
        shape=shape,
        dtype=_narrowest(bits),
        chunks=(1, min(shape[1], ROWS), *shape[2:]),
        compression="gzip",
        compression_opts=1,
    )
    dataset.attrs["bits"] = bits
    if not is_state:
        dataset.attrs["exponent"] = op.out.exponent


def _narrowest(bits: int) -> type[np.signedinteger[Any]]:
    for dtype in (np.int8, np.int16, np.int32):
        if bits <= np.iinfo(dtype).bits:
            return dtype
    return np.int64
