"""Make binary_s4d.pt cheaper: fewer modes, fewer spikes, fewer bits, in one fine-tuning.

Usage: python examples/smnist/cheaper.py --data FOLDER --out FOLDER [--seeds 0 1 2] [--only NAME]

From the shipped binary_s4d.pt: `reduce` to a few modes per channel, then fine-tune with a target
rate of spikes on the compiler's grids (4-bit weights, 8-bit poles and C, 16-bit states), compile,
and run all test digits. `--only` trains some of the ablations instead of all. FOLDER gets a
checkpoint and a log of each, and results.json. Run it again until it says that all are finished.
Options it does not know go to every training. PyTorch, NumPy, SciPy, h5py and Numba suffice;
MNIST's IDX files are in --data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SRC = HERE.parents[1] / "src"
sys.path.insert(0, str(SRC))

WIDTHS = HERE / "cheaper.widths.toml"
QAT = ["--qat", "--precision", str(WIDTHS)]
VARIANTS: dict[str, tuple[float | None, list[str]]] = {
    "cheaper": (5, ["--rate", "0.12", "--rate-weight", "4", *QAT]),
    "half-modes": (16, []),
    "quarter-modes": (8, []),
    "half-spikes": (None, ["--rate", "0.16", "--rate-weight", "4"]),
    "few-bits": (None, QAT),
}
"""Modes per channel (None: all 32), and the options of the fine-tuning."""
COMMON = [
    *("--task", "smnist", "--layer", "binary-s4d", "--dropout", "0.1"),
    *("--batch-size", "128", "--lr", "0.003", "--ssm-lr", "0.0005", "--label-smoothing", "0.05"),
    *("--shift-pixels", "2", "--rotation-degrees", "10", "--shear-degrees", "6", "--scale", "0.1"),
]


def main() -> int:
    """Train what is not finished, then measure; 1 if something is left to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of MNIST's files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=HERE / "binary_s4d.pt")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--together", type=int, default=3, help="trainings at once")
    parser.add_argument("--minutes", type=float, default=8.5, help="stop before so many")
    options, options.rest = parser.parse_known_args()
    options.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    for name in options.only:
        reduced(options.out, options.model, VARIANTS[name][0])
    jobs = [(name, seed) for seed in options.seeds for name in options.only]
    waiting = [job for job in jobs if "test_accuracy" not in trained(options.out, *job)]
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        running = [process for process in running if process.poll() is None]
        left = (end - time.monotonic()) / 60
        if waiting and len(running) < options.together and left > 0.3:
            running.append(start(options, *waiting.pop(0), left))
        elif not running:
            break
        time.sleep(0.2)
    unfinished = 0
    for job in jobs:
        if "test_accuracy" not in trained(options.out, *job):
            unfinished += 1
        elif time.monotonic() < end:
            measured(options, *job)
    summarise(options.out, jobs)
    print("all are finished" if not unfinished else f"{unfinished} not finished: run it again")
    return int(unfinished > 0)


def reduced(out: Path, model: Path, modes: float | None) -> Path:
    """Return the checkpoint to start from, made if it is not there."""
    if modes is None:
        return model
    path = out / f"reduced-{modes:g}.pt"
    if not path.exists():
        from neurossm.models.checkpoint import save
        from neurossm.reduction import ReduceOptions, reduce

        begin = time.monotonic()
        found = reduce(model, ReduceOptions(modes=modes))
        made = found.checkpoint
        save(path, made.model, made.calibration, made.training)
        path.with_suffix(".json").write_text(json.dumps(found.to_json()))
        print(f"{path.name}: {found.modes[0]} modes became {found.modes[1]}, "
              f"{time.monotonic() - begin:.0f} s", flush=True)  # fmt: skip
    return path


def start(
    options: argparse.Namespace, name: str, seed: int, minutes: float
) -> subprocess.Popen[bytes]:
    """Start or resume one training."""
    modes, extra = VARIANTS[name]
    stem = options.out / f"{name}-{seed}"
    command = [sys.executable, "-m", "neurossm.train", *COMMON, *extra, "--seed", str(seed)]
    command += ["--init", str(reduced(options.out, options.model, modes))]
    command += ["--data", str(options.data), "--epochs", str(options.epochs)]
    command += ["-o", f"{stem}.pt", "--log", f"{stem}.csv", "--resume"]
    command += ["--max-minutes", f"{minutes:.2f}", *options.rest]
    paths = [str(SRC), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with open(f"{stem}.txt", "ab") as printed, open(f"{stem}.train.json", "wb") as results:
        return subprocess.Popen(command, env=environment, stdout=results, stderr=printed)


def trained(out: Path, name: str, seed: int) -> dict[str, Any]:
    """Return what a training that ended printed; nothing if there is none."""
    return read(out / f"{name}-{seed}.train.json")


def read(path: Path) -> dict[str, Any]:
    """Return a JSON file's content; nothing if there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def measured(options: argparse.Namespace, name: str, seed: int) -> None:
    """Compile a model and run all test digits; write what that gives."""
    path = options.out / f"{name}-{seed}.program.json"
    if path.exists():
        return
    import numpy as np
    import torch

    from neurossm.compile import CompileOptions, compile_model
    from neurossm.compile.precision import load_precision
    from neurossm.tuning.judge import size_bytes

    digits = np.load(HERE / "mnist_test.npz")
    found: dict[str, Any] = {}
    quantised = "--qat" in VARIANTS[name][1]
    settings = load_precision(WIDTHS).applied(CompileOptions()) if quantised else CompileOptions()
    device = "cuda" if torch.cuda.is_available() else None
    program = compile_model(options.out / f"{name}-{seed}.pt", options=settings)
    program.save(options.out / f"{name}-{seed}.h5")
    spikes = [op.name for op in program.ops if op.emits == "spikes"]
    run = program.run(digits["x"], device=device, count=spikes)
    steps = digits["x"].shape[0] * digits["x"].shape[1]
    found["fixed_accuracy"] = float((run.logits.argmax(axis=1) == digits["y"]).mean())
    found["saturations"] = {key: int(value) for key, value in run.saturations.items()}
    found["spike_rates"] = {
        key: float(value.sum()) / steps / value.shape[1] for key, value in run.nonzeros.items()
    }
    found["bytes"] = size_bytes(program, 32)
    path.write_text(json.dumps(found))


def summarise(out: Path, jobs: list[tuple[str, int]]) -> None:
    """Write results.json, and print a line for each training."""
    results = []
    for name, seed in jobs:
        of_training, program = trained(out, name, seed), read(out / f"{name}-{seed}.program.json")
        results.append({"name": name, "seed": seed, **program, "training": of_training})
        floating = of_training.get("test_accuracy", "not finished")
        print(f"{name} seed {seed}: float {floating}, integers {program.get('fixed_accuracy')}")
    (out / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    raise SystemExit(main())
