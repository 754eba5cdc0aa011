"""How the time per step grows with channels, modes, batch and length, against how the work grows.

Networks are fresh ones of two blocks, compiled as any other. The slope is that of a straight line
through the logarithms; nothing may grow faster than the work, by more than `TOLERANCE`.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from kernel import network_operations
from measuring import seconds, summary

from neurossm import compile_model
from neurossm.engine import cpu as fast
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.models.export import export
from neurossm.program import Program

TOLERANCE = 0.1
SHORTEST = 0.05
"""Seconds that a timed call takes at least."""


@dataclass(frozen=True)
class Size:
    """What is varied."""

    channels: int = 128
    modes: int = 32
    batch: int = 8
    length: int = 256


RANGES: dict[str, tuple[int, ...]] = {
    "channels": (16, 32, 64, 128, 256),
    "modes": (4, 8, 16, 32, 64),
    "batch": (1, 4, 16, 64, 256),
    "length": (64, 256, 1024, 4096, 16384),
}


def measure(name: str, repeats: int) -> dict[str, object]:
    """Return seconds and operations per step and sample over a range, and both slopes."""
    sizes = [replace(Size(), **{name: value}) for value in RANGES[name]]
    if name == "length":  # one stream of samples per core: batches are the other curve
        sizes = [replace(size, batch=2) for size in sizes]
    programs: dict[tuple[int, int], Program] = {}
    times, work = [], []
    for size in sizes:
        key = (size.channels, size.modes)
        program = programs.setdefault(key, _program(*key))
        data = np.random.default_rng(0).integers(
            0, 256, (size.batch, size.length, 1), dtype=np.uint8
        )
        steps = size.batch * size.length
        times.append(_seconds(program, data, repeats) / steps)
        work.append(network_operations(program, data[:2, :256]) / min(size.length, 256))
    x = np.log(RANGES[name])
    slope = float(np.polyfit(x, np.log(times), 1)[0])
    expected = float(np.polyfit(x, np.log(work), 1)[0])
    return {
        "values": RANGES[name],
        "seconds_per_step": times,
        "operations_per_step": work,
        "slope": slope,
        "slope_of_work": expected,
        "no_faster_than_work": slope <= expected + TOLERANCE,
    }


def _seconds(program: Program, data: np.ndarray, repeats: int) -> float:
    """Return the median seconds of a run; short ones are repeated until they can be timed."""
    fast.run(program, data)
    calls = max(1, int(SHORTEST / seconds(lambda: fast.run(program, data))))

    def call() -> None:
        for _ in range(calls):
            fast.run(program, data)

    return summary([seconds(call) for _ in range(repeats)]).median / calls


def memory(program: Program) -> dict[str, float]:
    """Return the bytes that a session takes for a short and for a long stream, at the most."""
    peaks = {}
    program.session()  # prepares the program, once
    for steps in (1_000, 100_000):
        piece = np.random.default_rng(0).integers(0, 256, (1_000, 1), dtype=np.uint8)
        tracemalloc.start()
        session = program.session()
        for _ in range(0, steps, len(piece)):
            session.advance(piece)
            session.logits  # noqa: B018 (what a live stream would ask for)
        peaks[steps] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    short, long = peaks.values()
    return {"bytes_1000_steps": short, "bytes_100000_steps": long, "ratio": short / long}


def _program(channels: int, modes: int) -> Program:
    torch.manual_seed(0)
    config = ModelConfig(
        layer="binary-s4d",
        input=InputSpec.uint8(),
        classes=10,
        n_layers=2,
        d_model=channels,
        d_state=2 * modes,
    )
    return compile_model(export(Network(config).eval()))


def plot(results: dict[str, dict[str, object]], path: Path) -> None:
    """Draw one panel for each quantity, with its slope."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(results), figsize=(4 * len(results), 3.4), sharey=True)
    for axis, (name, result) in zip(axes, results.items(), strict=True):
        times = np.array(result["seconds_per_step"])
        work = np.array(result["operations_per_step"])
        axis.loglog(result["values"], times * 1e6, "o-", label=f"time, slope {result['slope']:.2f}")
        scale = times[-1] / work[-1] * 1e6
        label = f"work, slope {result['slope_of_work']:.2f}"
        axis.loglog(result["values"], work * scale, "--", color="grey", label=label)
        axis.set_xlabel(name)
        axis.set_xticks(result["values"], [f"{value:,}" for value in result["values"]])
        axis.minorticks_off()
        axis.legend(fontsize=8)
        axis.grid(visible=True, which="both", alpha=0.3)
    axes[0].set_ylabel("microseconds per step and sample")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
