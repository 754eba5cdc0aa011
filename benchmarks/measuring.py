"""What all measurements share: medians, the machine's name, the program under test."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples/smnist/mnist_test.npz"
SHIPPED = ("binary_s4d", "binary_s4d_small", "gsu", "gsu_small")


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median of several, the fastest and the slowest."""

    median: float
    fastest: float
    slowest: float


def timed(call: Callable[[], object], repeats: int) -> Timing:
    """Call once to warm up, then time several calls."""
    call()
    return summary([seconds(call) for _ in range(repeats)])


def seconds(call: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def summary(times: list[float]) -> Timing:
    """Return the median, the fastest and the slowest."""
    return Timing(statistics.median(times), min(times), max(times))


def machine() -> dict[str, object]:
    """Name the machine and the versions that matter."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numba", "llvmlite", "numpy", "torch")},
    }


def _processor() -> str:
    from llvmlite import binding

    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor()} ({binding.get_host_cpu_name()})"


def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first test digits (count, 784, 1) and their labels."""
    with np.load(DIGITS) as data:
        return data["x"][:count], data["y"][:count]
