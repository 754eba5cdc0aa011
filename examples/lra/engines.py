"""Show that all engines give the integers of a trained network: `python engines.py MODEL DATA.npz`.

MODEL is a checkpoint, which is compiled with nothing else given, or a program (.h5). DATA.npz holds
sequences (`neurossm data TASK --part test`). Printed is a Markdown table: the fast engine against
the reference on the first steps of the sequences, against C and, with --lava, Lava on whole ones.
Exits 1 if any integer differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from neurossm import compile_model, verify
from neurossm.datafile import Data, load_data
from neurossm.program import Program

HEAD = "| engines | sequences | steps | integers compared | different | seconds |"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 1 if an integer differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2048, help="at most so many")
    parser.add_argument("--reference-steps", type=int, default=64, help="for the reference, slow")
    parser.add_argument("--engines", nargs="+", default=["c"], help="compared with fast")
    parser.add_argument("--lava", type=int, default=0, help="sequences for Lava, 0: none")
    given = parser.parse_args(arguments)
    program = (
        Program.load(given.model) if given.model.suffix == ".h5" else compile_model(given.model)
    )
    data = longest_first(load_data(given.data), given.sequences)
    whole = cut(data, given.steps)
    print(f"{HEAD}\n|---|--:|--:|--:|--:|--:|", flush=True)
    different = row(program, cut(data, given.reference_steps), "reference")
    for engine in given.engines:
        different += row(program, whole, engine)
    if given.lava:
        different += row(program, whole.limited(given.lava), "lava")
    return int(different > 0)


def longest_first(data: Data, sequences: int) -> Data:
    """Return the first so many sequences, the longest of them first."""
    data = data.limited(min(sequences, len(data.x)))
    if data.lengths is None:
        return data
    order = np.argsort(-data.lengths, kind="stable")
    y = None if data.y is None else data.y[order]
    return Data(data.x[order], y, data.where, data.lengths[order])


def cut(data: Data, steps: int) -> Data:
    """Return the sequences' first steps."""
    lengths = None if data.lengths is None else np.minimum(data.lengths, steps)
    return Data(data.x[:, :steps], data.y, data.where, lengths)


def row(program: Program, data: Data, engine: str) -> int:
    """Print a line; return how many integers differ."""
    began = time.monotonic()
    (pair,) = verify(program, data, engines=("fast", engine)).engines
    seconds = time.monotonic() - began
    longest = data.x.shape[1] if data.lengths is None else int(data.lengths.max())
    print(
        f"| fast, {engine} | {len(data.x)} | up to {longest:,} | {pair.compared:,} | "
        f"{pair.mismatches:,} | {seconds:.0f} |",
        flush=True,
    )
    if pair.first_mismatch is not None:
        print(pair.first_mismatch, file=sys.stderr)
    return pair.mismatches


if __name__ == "__main__":
    sys.exit(main())
