"""Compare the GPU engine of two versions of the package in one run, turn by turn.

    python benchmarks/cuda.py --export FOLDER
    python benchmarks/paired_cuda.py FOLDER --against PATH/TO/OTHER/src [--batch 2048] [--rounds 15]

The second line needs a GPU, and no more than PyTorch, Triton, NumPy and SciPy. Each version runs
in a process of its own; both are given the same digits in turn, in changing order, and must give
the logits that were exported. Printed are samples per second and the median of the rounds' ratios
(new over old: above 1 is faster), with how far half of the rounds are spread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_CHILD = """
import dataclasses, json, sys, time
import numpy as np
from bare import stand_in
stand_in()
from neurossm import program as p
from neurossm.engine import gpu
from neurossm.graph import Graph, Input

def made(kind, fields):
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in fields.items() if name in known})

def load(arrays):
    ops = []
    for i, plain in enumerate(json.loads(str(arrays["scalars"]))):
        kind = getattr(p, plain.pop("type"))
        plain |= {n.partition(".")[2]: arrays[n] for n in arrays if n.startswith(f"{i}.")}
        out = {name[4:]: plain.pop(name) for name in list(plain) if name.startswith("out.")}
        out = made(p.TensorSpec, out)
        ops.append(made(kind, plain | {"inputs": tuple(plain["inputs"]), "out": out}))
    source = ops[0]
    node = Input("input", (), source.kind, source.size, source.low, source.high, 1.0)
    return p.Program(tuple(ops), Graph((node,)), "loihi2-sim")

programs = {}
for line in sys.stdin:
    path, batch, device = json.loads(line)
    if path not in programs:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        programs[path] = load(arrays), arrays["x"], arrays["logits"]
    program, x, logits = programs[path]
    x, logits = (np.resize(part, (batch, *part.shape[1:])) for part in (x, logits))
    started = time.perf_counter()
    run = gpu.run(program, x, device=device)  # the logits come back: nothing is left running
    seconds = time.perf_counter() - started
    print(json.dumps([seconds, bool((run.logits == logits).all())]), flush=True)
"""


class Version:
    """A process that runs one version of the package."""

    def __init__(self, source: Path) -> None:
        here = str(ROOT / "benchmarks")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(source.resolve()), here])},
        )

    def run(self, path: Path, batch: int, device: str) -> float:
        """Run some digits; return the seconds, or stop where the logits are not those exported."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([str(path), batch, device]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"paired_cuda.py: {path.stem}: the process ended; see above")
        seconds, same = json.loads(answer)
        if not same:
            sys.exit(f"paired_cuda.py: {path.stem}: other logits than those exported")
        return float(seconds)


def compare(old: Version, new: Version, path: Path, options: Any) -> None:
    """Print the rates and ratios of one model; the first round compiles the kernels."""
    times: dict[Version, list[float]] = {old: [], new: []}
    first: dict[Version, float] = {}
    for turn in range(options.rounds + 1):
        for version in (old, new) if turn % 2 else (new, old):
            seconds = version.run(path, options.batch, options.device)
            if turn:
                times[version].append(seconds)
            else:
                first[version] = seconds
    ratios = [a / b for a, b in zip(times[old], times[new], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    a, b = (options.batch / statistics.median(times[version]) for version in (old, new))
    print(
        f"{path.stem:<18} {a:>10.0f} {b:>10.0f} {middle:>9.3f}  {low:.3f} to {high:.3f}"
        f"  {first[old]:8.1f} {first[new]:8.1f}",
        flush=True,
    )


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what `cuda.py --export` wrote")
    parser.add_argument("--against", type=Path, required=True, help="sources of the other version")
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    old, new = Version(options.against), Version(ROOT / "src")
    print(
        f"{'model':<18} {'old, /s':>10} {'new, /s':>10} {'new/old':>9}  half of them  "
        "  first run, s: old and new"
    )
    for path in sorted(options.folder.glob("*.npz")):
        compare(old, new, path, options)


if __name__ == "__main__":
    main()
