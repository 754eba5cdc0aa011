"""Traces: what every tensor was at every step, written to HDF5 while the program runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import IntArray
from neurossm.files import as_path
from neurossm.graph.data import check_sequences
from neurossm.program import Program, Run
from neurossm.program.running import check_recordable
from neurossm.progress import Progress
from neurossm.registry import DEFAULT_ENGINE, check_options, options_of
from neurossm.storage import write_file, write_json

SCHEMA = "neurossm-trace"
VERSION = 1
_CHUNK = 64
"""Steps that are compressed together: what an engine hands over at a time."""


def default_names(program: Program) -> tuple[str, ...]:
    """Return the spikes and the residual stream: what a trace holds unless told otherwise."""
    return tuple(op.name for op in program.ops if op.emits == "spikes" or op.merges)


def write_trace(
    path: str | Path,
    program: Program,
    data: ArrayLike,
    record: Iterable[str] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    device: str = "cpu",
    lengths: ArrayLike | None = None,
) -> Run:
    """Run samples and write recorded tensors to an HDF5 file of schema `neurossm-trace`.

    `tensors/NAME` is (B, L, C), states are (B, L, H, N), in integers just wide enough, with the
    attributes `bits` and, but for states, `exponent`; `logits` is (B, classes), `lengths` (B) the
    steps of each sample, after which tensors are 0. The file is written piece by piece, so that
    traces may be larger than memory, and appears under its name only when it is complete.

    Parameters
    ----------
    path
        The file to write.
    program, data, progress, threads, device, lengths
        As for `neurossm.registry.run`, with the engine "fast".
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
    engine, device = check_options(DEFAULT_ENGINE, device, threads)
    run_to = engine.module(device).run_to
    options = options_of(engine, device, threads)
    samples = check_sequences(program.input, data, lengths)
    names = check_recordable(program, default_names(program) if record is None else record)
    runs: list[Run] = []
    lock = Lock()

    def fill(file: h5py.File) -> None:
        group = file.create_group("tensors", track_order=True)
        for name in names:
            _create(group, program, name, samples.x.shape[:2])

        def sink(name: str, sample: int, step: int, values: IntArray) -> None:
            with lock:
                group[name][sample : sample + len(values), step : step + values.shape[1]] = values

        options["lengths"] = samples.lengths
        run = run_to(program, samples.x, names, sink, progress=progress, **options)
        file.create_dataset("logits", data=run.logits)
        file.create_dataset("lengths", data=samples.steps)
        write_json(file, "saturations", run.saturations)
        file.attrs["target"] = program.target
        runs.append(run)

    write_file(as_path(path, "trace"), SCHEMA, VERSION, fill)
    return runs[0]


def _create(group: h5py.Group, program: Program, name: str, samples: tuple[int, ...]) -> None:
    one = program.recordings[name]
    shape = (*samples, *one.shape)
    dataset = group.create_dataset(
        name,
        shape=shape,
        dtype=_narrowest(one.bits),
        chunks=(1, min(shape[1], _CHUNK), *shape[2:]),
        compression="gzip",
        compression_opts=1,
    )
    dataset.attrs["bits"] = one.bits
    if one.state is None:
        dataset.attrs["exponent"] = one.op.out.exponent


def _narrowest(bits: int) -> type[np.signedinteger[Any]]:
    for dtype in (np.int8, np.int16, np.int32):
        if bits <= np.iinfo(dtype).bits:
            return dtype
    return np.int64
