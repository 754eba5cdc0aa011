"""Samples through a program on a device: in batches, and chunk of time by chunk of time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurossm.arrays import IntArray
from neurossm.engine.gpu.device import free_memory, full_precision
from neurossm.engine.gpu.device_program import DeviceProgram, device_program
from neurossm.graph.data import check_data
from neurossm.program import Program, Run
from neurossm.program.arithmetic import Tally
from neurossm.program.reference import check_countable, check_recordable
from neurossm.progress import Meter, Progress

if TYPE_CHECKING:
    from neurossm.engine.cpu.batches import Sink


def run(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] = (),
    progress: Progress | None = None,
    *,
    count: Iterable[str] = (),
    device: str = "cuda",
    kernels: str = "auto",
    memory: int | None = None,
) -> Run:
    """Run samples through a program; the integers are those of the reference engine.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel.
    record
        Tensors to keep for every step; recording states is many times slower.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    count
        Tensors whose nonzero integers to count.
    device
        "cuda", "cuda:1", ...; "cpu" gives the same integers, slowly.
    kernels
        "fused" for Triton's, "plain" for PyTorch's alone; "auto" takes the former on a GPU where
        Triton is installed.
    memory
        Bytes a batch may take; by default half of what is free on the device.

    Raises
    ------
    InputError
        Data that do not suit the input, more steps than `max_steps`, an unknown name.
    MissingDependencyError
        No such device, or no Triton for "fused".
    UnsupportedError
        An operation this engine does not know.
    """
    tensors: dict[str, IntArray] = {}
    names = check_recordable(program, record)
    for name in names:
        shape = (*data.shape[:2], *program.recordings[name].shape)
        tensors[name] = np.empty(shape, np.int64)

    def keep(name: str, sample: int, step: int, values: IntArray) -> None:
        tensors[name][sample : sample + len(values), step : step + values.shape[1]] = values

    result = run_to(
        program,
        data,
        names,
        keep,
        progress=progress,
        count=count,
        device=device,
        kernels=kernels,
        memory=memory,
    )
    return Run(result.logits, result.saturations, tensors, result.nonzeros, result.totals)


def run_to(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str],
    sink: Sink,
    *,
    progress: Progress | None = None,
    count: Iterable[str] = (),
    device: str = "cuda",
    kernels: str = "auto",
    memory: int | None = None,
) -> Run:
    """Run samples and hand each recorded piece to `sink`.

    Otherwise as `run`; the memory taken does not grow with the length of the samples.
    """
    names = check_recordable(program, record)
    counted = check_countable(program, count)
    ready = device_program(program, device, kernels)
    check_data(program.input, data)
    program.encode(data[:1])  # before memory is reckoned with their length
    memory = memory or free_memory(ready.device)
    batch, chunk = ready.sizes(len(data), data.shape[1], memory, names, counted)
    ready.clear_counts()
    meter = Meter(progress, "running", data.shape[0] * data.shape[1])
    totals, nonzeros = [], []
    with full_precision():
        for first in range(0, len(data), batch):
            x = program.encode(data[first : first + batch], widen=False)
            total, counts = _run_batch(
                ready,
                x,
                chunk,
                names,
                counted,
                _shifted(sink, first),
                meter,
            )
            totals.append(total)
            nonzeros.append(counts)
    return _result(ready, totals, nonzeros, data.shape[1])


def warm_up(program: Program, device: str = "cuda") -> float:
    """Compile the kernels a program needs, or load them from disk; return the seconds."""
    started = time.perf_counter()
    source = program.input
    low = 0 if source.kind != "float" else source.low
    kind = {"uint8": np.uint8, "float": np.float64}.get(source.kind, np.int64)
    run(program, np.full((1, 2, source.out.channels), low, kind), device=device)
    return time.perf_counter() - started


def _shifted(sink: Sink, first: int) -> Sink:
    return lambda name, sample, step, values: sink(name, first + sample, step, values)


def _run_batch(
    ready: DeviceProgram,
    x: IntArray,
    chunk: int,
    names: tuple[str, ...],
    counted: tuple[str, ...],
    sink: Sink,
    meter: Meter,
) -> tuple[IntArray, dict[str, IntArray]]:
    """Run samples that go together; return their sums over time and counts."""
    own = np.array(x, order="C")  # tensors are neither reversed nor read-only
    data = torch.from_numpy(own).to(ready.device).to(ready.input_type)
    state = ready.start(len(x), counted)
    for begin in range(0, x.shape[1], chunk):
        piece = data[:, begin : begin + chunk].contiguous()

        def keep(name: str, values: Tensor, begin: int = begin) -> None:
            sink(name, 0, begin, values.long().cpu().numpy())

        ready.advance(piece, state, names, keep)
        meter.add(len(x) * piece.shape[1])
    counts = {name: values.cpu().numpy() for name, values in state.nonzeros.items()}
    return state.total.cpu().numpy(), counts


def _result(
    ready: DeviceProgram, totals: list[IntArray], nonzeros: list[dict[str, IntArray]], steps: int
) -> Run:
    total = np.concatenate(totals)
    tally = Tally()
    logits = ready.program.readout.decode(total, steps, tally)
    counts = {name: np.concatenate([one[name] for one in nonzeros]) for name in nonzeros[0]}
    saturations = ready.clipped() | tally
    return Run(logits, saturations, {}, counts, total)
