"""Samples through a program on a device: in batches, and chunk of time by chunk of time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurossm.arrays import IntArray
from neurossm.engine.gpu.device import free_memory, full_precision
from neurossm.engine.gpu.device_program import DeviceProgram, device_program
from neurossm.graph.data import check_data
from neurossm.graph.sequences import Sequences, longest_first, spans
from neurossm.program import Program
from neurossm.program.running import Kept, Run, Sink, check_countable, check_recordable
from neurossm.progress import Meter, Progress


def run(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] = (),
    progress: Progress | None = None,
    *,
    count: Iterable[str] = (),
    lengths: IntArray | None = None,
    device: str = "cuda",
    kernels: str = "auto",
    memory: int | None = None,
) -> Run:
    """Run samples through a program, as `neurossm.registry.run` says.

    Recording states is many times slower.

    Parameters
    ----------
    program, data, record, progress, count, lengths
        As there.
    device
        "cuda", "cuda:1", ...; "cpu" gives the same integers, slowly.
    kernels
        "fused" for Triton's, "plain" for PyTorch's alone; "auto" takes the former on a GPU where
        Triton is installed.
    memory
        Bytes a batch may take; by default half of what is free on the device.
    """
    kept = Kept(program, record, data.shape)
    ran = run_to(
        program,
        data,
        kept.names,
        kept,
        progress=progress,
        count=count,
        lengths=lengths,
        device=device,
        kernels=kernels,
        memory=memory,
    )
    return replace(ran, tensors=kept.tensors)


def run_to(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str],
    sink: Sink,
    *,
    progress: Progress | None = None,
    count: Iterable[str] = (),
    lengths: IntArray | None = None,
    device: str = "cuda",
    kernels: str = "auto",
    memory: int | None = None,
) -> Run:
    """Run samples and hand each recorded piece to `sink`.

    Otherwise as `run`; the memory taken does not grow with the length of the samples. Of different
    lengths, the longest go together, and a sample that has ended leaves its batch.
    """
    names = check_recordable(program, record)
    counted = check_countable(program, count)
    ready = device_program(program, device, kernels)
    check_data(program.input, data)
    program.encode(data[:1])  # before memory is reckoned with their length
    steps = Sequences(data, lengths).steps
    memory = memory or free_memory(ready.device)
    size, chunk = ready.sizes(len(data), int(steps.max()), memory, names, counted)
    ready.clear_counts()
    meter = Meter(progress, "running", steps.sum())
    batch = _DeviceBatch(ready, steps, data.shape[1], chunk, names, counted, sink, meter)
    order = longest_first(steps)
    with full_precision():
        for first in range(0, len(data), size):
            who = order[first : first + size]
            x = data[first : first + size] if lengths is None else data[who]
            batch.run(program.encode(x[:, : steps[who[0]]], widen=False), who)
    return batch.result()


def warm_up(program: Program, device: str = "cuda") -> float:
    """Compile the kernels a program needs, or load them from disk; return the seconds."""
    started = time.perf_counter()
    source = program.input
    low = 0 if source.kind != "float" else source.low
    kind = {"uint8": np.uint8, "float": np.float64}.get(source.kind, np.int64)
    run(program, np.full((1, 2, source.out.channels), low, kind), device=device)
    return time.perf_counter() - started


class _DeviceBatch:
    """Runs samples of so many `steps` (B) and collects their sums and counts."""

    def __init__(
        self,
        ready: DeviceProgram,
        steps: IntArray,
        longest: int,
        chunk: int,
        names: tuple[str, ...],
        counted: tuple[str, ...],
        sink: Sink,
        meter: Meter,
    ) -> None:
        self.ready, self.steps, self.chunk, self.names = ready, steps, chunk, names
        self.readout = ready.program.readout
        self.watched = (*names, *self.readout.inputs) if self.readout.streams else names
        self.sink, self.meter = sink, meter
        nothing = ready.start(0, counted)
        self.pooled = ready.program.readout.pooled(steps, longest)
        self.nonzeros = {
            name: np.zeros((len(steps), *zeros.shape[1:]), np.int64)
            for name, zeros in nothing.nonzeros.items()
        }

    def run(self, x: IntArray, who: IntArray) -> None:
        """Run samples x (b, L, C), the longest first, which have the numbers `who`."""
        own = np.array(x, order="C")  # tensors are neither reversed nor read-only
        data = torch.from_numpy(own).to(self.ready.device).to(self.ready.input_type)
        all_of_them = running = self.ready.start(len(x), tuple(self.nonzeros))
        for begin, end, count in spans(self.steps[who], self.chunk):
            running = running.first(count)
            piece = data[:count, begin:end].contiguous()

            def keep(name: str, values: Tensor, begin: int = begin, count: int = count) -> None:
                self._keep(name, who[:count], begin, values.long().cpu().numpy())

            self.ready.advance(piece, running, self.watched, keep)
            self.meter.add(count * (end - begin))
        self.pooled.totals[who] = all_of_them.total.cpu().numpy()
        for name, values in all_of_them.nonzeros.items():
            self.nonzeros[name][who] = values.cpu().numpy()

    def _keep(self, name: str, who: IntArray, begin: int, values: IntArray) -> None:
        """Hand on a piece (b, steps, ...), in parts whose samples are neighbours."""
        if self.readout.streams and name in self.readout.inputs:
            self.pooled.add(who, begin, values)
        if name not in self.names:
            return
        cuts = np.flatnonzero(np.diff(who) != 1) + 1
        for part in np.split(np.arange(len(who)), cuts):
            self.sink(name, int(who[part[0]]), begin, values[part[0] : part[-1] + 1])

    def result(self) -> Run:
        """Decode what is kept."""
        logits = self.pooled.logits()
        saturations = self.ready.clipped() | self.pooled.tally
        return Run(logits, saturations, {}, self.nonzeros, self.pooled.totals)
