"""Time and memory of compile, verify and report as sequences grow, each command in its own process.

A network of random weights as for Path-X (GSU, deployable threshold, step sizes from 1e-4) reads
pictures of as many pixels as steps; its checkpoint carries calibration pictures, as those of
`neurossm train` do. Memory is the largest resident set that the system states for the process.
Figures of `verify` and `report` are for as many sequences as --samples says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from neurossm.models.checkpoint import save
from neurossm.models.config import InputSpec, ModelConfig
from neurossm.models.network import Network
from neurossm.train.tasks.pathfinder import PATH_X, pictures

GIB = 1 << 30


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    gib: float


def run(*arguments: str) -> Cost:
    """Run one command of `neurossm`; its output goes nowhere."""
    began = time.perf_counter()
    code = [sys.executable, "-c", "from neurossm.cli import main; main()", *arguments]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, code, dict(os.environ), file_actions=quiet)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"neurossm {' '.join(arguments)} failed")
    cost = Cost(time.perf_counter() - began, used.ru_maxrss * 1024 / GIB)
    print(f"{arguments[0]}: {cost.seconds:.0f} s, {cost.gib:.2f} GiB", file=sys.stderr, flush=True)
    return cost


def make(folder: Path, steps: int, blocks: int, width: int, calibration: int, samples: int) -> None:
    """Write a checkpoint and a DATA.npz: the first pixels of as many Path-X pictures."""
    count = calibration + samples
    drawn = pictures(PATH_X, count + count % 2)
    x = drawn.x.reshape(len(drawn.x), -1, 1)[:count, :steps]
    torch.manual_seed(0)
    config = ModelConfig(
        "gsu",
        InputSpec.uint8(1),
        2,
        n_layers=blocks,
        d_model=width,
        initialisation="inv",
        discretization="bilinear",
        dt_min=0.0001,
    )
    network = Network(config).train()
    with torch.no_grad():  # running statistics of norms and thresholds
        for _ in range(20):
            network(torch.from_numpy(x[:2]))
    save(folder / "model.pt", network.eval(), x[:calibration])
    np.savez(folder / "data.npz", x=x[calibration:], y=drawn.y[calibration:count])


def measure(steps: int, blocks: int, width: int, calibration: int, samples: int) -> dict[str, Cost]:
    """Return what each command takes for sequences of so many steps."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, steps, blocks, width, calibration, samples)
        model, program, data = (str(folder / n) for n in ("model.pt", "program.h5", "data.npz"))
        shared = (program, "--data", data, "--limit", str(samples), "--model", model)
        return {
            "compile": run("compile", model, "--target", "loihi2-sim", "-o", program),
            "verify": run("verify", *shared),
            "report": run("report", *shared, "-o", str(folder / "report.html")),
        }


def main() -> None:
    """Print a row per length, as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[2048, 4096, 8192, 16384])
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--calibration", type=int, default=64, help="pictures in the checkpoint")
    parser.add_argument("--samples", type=int, default=2, help="sequences to verify and report")
    parser.add_argument("--json", action="store_true", help="a line of JSON per length instead")
    given = parser.parse_args()
    if not given.json:
        print("| steps | compile | verify | report |\n|--:|--:|--:|--:|")
    for steps in given.steps:
        costs = measure(steps, given.blocks, given.width, given.calibration, given.samples)
        if given.json:
            print(
                json.dumps({"steps": steps, **{n: vars(c) for n, c in costs.items()}}), flush=True
            )
        else:
            cells = (f"{c.seconds:.0f} s, {c.gib:.2f} GiB" for c in costs.values())
            print(f"| {steps:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
