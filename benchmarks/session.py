"""What a step of a live stream costs: alone, in pieces, and in C, in turns.

    python benchmarks/session.py [--model binary_s4d] [--rounds 15] [--piece 64]

"c" and "c-vector" advance a digit in one call of C, "c" step by step: that is what a step
costs in C. "fast, step" calls Python for every step, "fast, feed" for every piece, and both give
the logits after each step. Printed are the least and the median processor time of a step, and the
median over rounds of the ratio to C's step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from measuring import DIGITS, ROOT

from neurossm import compile_model


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="binary_s4d")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--piece", type=int, default=64)
    chosen = parser.parse_args()
    program = compile_model(ROOT / f"examples/smnist/{chosen.model}.pt")
    digit = np.load(DIGITS)["x"][0].reshape(-1, 1)
    pieces = [digit[t : t + chosen.piece] for t in range(0, len(digit), chosen.piece)]
    fast, plain, vector = (program.session(engine=name) for name in ("fast", "c", "c-vector"))
    ways: dict[str, tuple[object, Callable[[], object]]] = {
        "c": (plain, lambda: plain.advance(digit)),
        "c-vector": (vector, lambda: vector.advance(digit)),
        "fast, feed": (fast, lambda: [fast.feed(piece) for piece in pieces]),
        "fast, step": (fast, lambda: [fast.step(step) for step in digit]),
        "c, step": (plain, lambda: [plain.step(step) for step in digit]),
    }
    rounds = np.array([[_spent(*way) for way in ways.values()] for _ in range(chosen.rounds + 1)])
    times = rounds[1:] / len(digit) * 1e6  # the first warms up
    print(f"{chosen.model}, pieces of {chosen.piece}     least us  median us  of C's step")
    for name, column in zip(ways, times.T, strict=True):
        ratio = np.median(column / times[:, 0])
        print(f"{name:20} {column.min():20.1f} {np.median(column):10.1f} {ratio:12.2f}")


def _spent(session: object, call: Callable[[], object]) -> float:
    session.reset()  # type: ignore[attr-defined]
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
