"""The whole path on real digits: compile, run on Lava, verify, count the cost, write a report.

`make demo` runs this. It runs the same commands a user would type, and shows each before it runs.
Results go to `build/demo/`.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMNIST = Path("examples/smnist")
OUT = Path("build/demo")
PROGRAM = OUT / "binary_s4d.loihi2-sim.h5"
MODEL = SMNIST / "binary_s4d.pt"
DATA = SMNIST / "mnist_test.npz"

STEPS = (
    (
        "Compile the trained Binary S4D to a fixed-point program (proved free of overflow)",
        f"compile {MODEL} --target loihi2-sim -o {PROGRAM}",
    ),
    (
        "Run ten test digits (784 steps each) through Lava's processes",
        f"run {PROGRAM} --data {DATA} --engine lava --limit 10 -o {OUT / 'lava.npz'}",
    ),
    (
        "Check that Lava and the fast engine give equal integers, and follow the trained model",
        f"verify {PROGRAM} --model {MODEL} --data {DATA} --limit 10 --engine lava --engine fast",
    ),
    (
        "Accuracy on 500 digits: trained model, approximated model, integers",
        f"verify {PROGRAM} --model {MODEL} --data {DATA} --limit 500 --json {OUT / 'verify.json'}",
    ),
    (
        "Count operations on 100 digits and estimate energy",
        f"profile {PROGRAM} --data {DATA} --limit 100 --json {OUT / 'profile.json'}",
    ),
    (
        "Write the report",
        f"report {PROGRAM} --model {MODEL} --data {DATA} --limit 100 -o {OUT / 'report.html'}",
    ),
)


def main() -> int:
    """Run every step; stop at the first that fails."""
    (ROOT / OUT).mkdir(parents=True, exist_ok=True)
    neurossm = Path(sys.executable).with_name("neurossm")
    began = time.perf_counter()
    for number, (title, command) in enumerate(STEPS, start=1):
        print(f"\n[{number}/{len(STEPS)}] {title}\n$ neurossm {command}", flush=True)
        status = subprocess.run([str(neurossm), *shlex.split(command)], cwd=ROOT).returncode
        if status != 0:
            print(f"demo: step {number} failed with exit status {status}", file=sys.stderr)
            return status
    minutes = (time.perf_counter() - began) / 60
    print(f"\nDone in {minutes:.1f} minutes. Open {OUT / 'report.html'} in a browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
