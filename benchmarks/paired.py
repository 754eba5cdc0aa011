"""Compare the fast engine of two versions of the package in one run, turn by turn.

    python benchmarks/paired.py --against PATH/TO/OTHER/src [--digits 8] [--rounds 15]

Each version runs in a process of its own, on one thread; both are given the same digits in turn,
in changing order. Printed are processor seconds per digit and the median of the rounds' ratios
(new over old: below 1 is faster), with how far half of the rounds are spread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("binary_s4d", "binary_s4d_small", "gsu", "gsu_small")
_CHILD = """
import json, sys, time
import numpy as np
from neurossm.program import Program
digits = np.load(sys.argv[1])["x"]
programs = {}
for line in sys.stdin:
    job = json.loads(line)
    if job["path"] not in programs:
        programs[job["path"]] = Program.load(job["path"])
    program, x = programs[job["path"]], digits[: job["digits"]]
    started = time.process_time()
    try:
        run = program.run(x, threads=1)
    except TypeError:  # releases before 0.2 take no number of threads here
        from neurossm.engine import run as run_engine
        started = time.process_time()
        run = run_engine(program, x, threads=1)
    spent = time.process_time() - started
    print(json.dumps({"seconds": spent, "sum": int(run.logits.sum())}), flush=True)
"""


class Version:
    """A process that runs one version of the package."""

    def __init__(self, source: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        data = ROOT / "examples" / "smnist" / "mnist_test.npz"
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, path: Path, digits: int) -> dict[str, Any]:
        """Run some digits; return seconds and the sum of the logits."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"path": str(path), "digits": digits}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def compiled(source: Path, model: str, folder: Path) -> Path:
    """Compile a bundled model with the older version, whose programs both can read."""
    path = folder / f"{model}.h5"
    trained = str(ROOT / "examples" / "smnist" / f"{model}.pt")
    code = f"import neurossm; neurossm.compile_model({trained!r}).save({str(path)!r})"
    environment = os.environ | {"PYTHONPATH": str(source)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return path


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--digits", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", choices=MODELS, action="append")
    chosen = parser.parse_args()
    old, new = Version(chosen.against), Version(ROOT / "src")
    print(f"{'model':<18} {'old, s/digit':>13} {'new, s/digit':>13} {'new/old':>9}  half of them")
    with tempfile.TemporaryDirectory() as folder:
        for model in chosen.model or MODELS:
            path = compiled(chosen.against, model, Path(folder))
            times: dict[Version, list[float]] = {old: [], new: []}
            for turn in range(chosen.rounds + 1):
                pair = (old, new) if turn % 2 else (new, old)
                answers = {version: version.run(path, chosen.digits) for version in pair}
                if answers[old]["sum"] != answers[new]["sum"]:
                    sys.exit(f"{model}: the versions give other logits")
                if turn:  # the first one compiles
                    for version in pair:
                        times[version].append(answers[version]["seconds"] / chosen.digits)
            ratios = sorted(b / a for a, b in zip(times[old], times[new], strict=True))
            low, _, high = statistics.quantiles(ratios, n=4)
            a, b = (statistics.median(times[version]) for version in (old, new))
            middle = statistics.median(ratios)
            print(f"{model:<18} {a:>13.5f} {b:>13.5f} {middle:>9.3f}  {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
