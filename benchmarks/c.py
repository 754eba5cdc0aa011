"""Time C against the fast engine and float PyTorch: one digit at a time, on one core, turn by turn.

    OMP_NUM_THREADS=1 python benchmarks/c.py [--model binary_s4d] [--rounds 15] [--json FILE]

PyTorch has the spectra of its kernels beforehand. All take the same digits in turn, each round in
another order. Printed are medians of processor seconds, as digits per second, and the median of the
rounds' ratios to the fast engine; then microseconds of a session's step. `CC` chooses the
compiler. Emitting and compiling are not timed; that all engines agree is checked first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from measuring import DIGITS, ROOT, machine
from versus import FloatNetwork

import neurossm
from neurossm.c import build
from neurossm.program import Program


def engines(model: str, folder: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return how each runs digits (1, L, 1)."""
    path = ROOT / "examples" / "smnist" / f"{model}.pt"
    neurossm.compile_model(path).save(folder / "program.h5")
    program = Program.load(folder / "program.h5")
    network = FloatNetwork(path, 784)

    def on(engine: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: program.run(x, engine=engine, threads=1).logits

    def float_torch(x: np.ndarray) -> np.ndarray:
        torch.set_num_threads(1)  # Numba sets the number that PyTorch uses, too
        return network(torch.from_numpy(x)).numpy()

    names = ("c-vector", "c", "fast")
    return {name: on(name) for name in names} | {"float PyTorch": float_torch}


def rounds(
    runs: dict[str, Callable[[np.ndarray], np.ndarray]], x: np.ndarray, count: int
) -> dict[str, list[float]]:
    """Return processor seconds of each, round by round: a digit of its own in each round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for number in range(count):
        random.Random(number).shuffle(order)
        digit = x[number % len(x)][None]
        for name in order:
            started = time.process_time()
            runs[name](digit)
            times[name].append(time.process_time() - started)
    return times


def step_us(program: Program, engine: str, digit: np.ndarray, rounds: int = 5) -> float:
    """Return processor microseconds of a session's step, the median of some digits."""
    session, spent = program.session(engine=engine), []
    for _ in range(rounds):
        session.reset()
        started = time.process_time()
        for pixel in digit:
            session.step(pixel)
        spent.append((time.process_time() - started) / len(digit) * 1e6)
    return statistics.median(spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="binary_s4d")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with np.load(DIGITS) as file:
        x = file["x"][:20]
    with tempfile.TemporaryDirectory() as folder:
        runs = engines(chosen.model, Path(folder))
        logits = {name: run(x[:1]) for name, run in runs.items()}
        for name in ("c", "c-vector"):
            assert np.array_equal(logits[name], logits["fast"]), name
        times = rounds(runs, x, chosen.rounds)
        program = Program.load(Path(folder) / "program.h5")
        steps = {name: step_us(program, name, x[0]) for name in ("c-vector", "c", "fast")}
    result = {
        name: {
            "digits_per_second": 1 / statistics.median(spent),
            "speed_over_fast": statistics.median(
                fast / one for fast, one in zip(times["fast"], spent, strict=True)
            ),
        }
        for name, spent in times.items()
    }
    command = " ".join(build.compiler())
    print(f"{chosen.model}, {chosen.rounds} rounds, one digit at a time, one thread, {command}")
    for name, row in result.items():
        speed, ratio = row["digits_per_second"], row["speed_over_fast"]
        print(f"  {name:14} {speed:7.1f} digits/s  {ratio:5.2f} times the fast engine")
    print("one step: " + ", ".join(f"{name} {us:.1f} us" for name, us in steps.items()))
    if chosen.json:
        found = {"machine": machine(), "engines": result, "step_us": steps}
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
