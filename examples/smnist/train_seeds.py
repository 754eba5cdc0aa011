"""Train presets with several seeds, a few at once, and summarise their accuracies.

Usage: python examples/smnist/train_seeds.py PRESET... --seeds 0 1 2 --out FOLDER [-- OPTIONS]

Each training is a process of its own, `--together` of them at once. FOLDER gets PRESET-SEED.pt,
PRESET-SEED.csv (a row per epoch), PRESET-SEED.txt (what it printed) and summary.csv. Run it again
until it says that all are finished: trainings go on where they stopped, finished ones stay as they
are. Options after -- go to every training. PyTorch and NumPy suffice.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"


def main() -> int:
    """Run what is not finished and write the summary; 1 if something is left to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="+", metavar="PRESET")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--together", type=int, default=3, help="trainings at once")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop before so many")
    given, rest = sys.argv[1:], []
    if "--" in given:
        cut = given.index("--")
        given, rest = given[:cut], given[cut + 1 :]
    options = parser.parse_args(given)
    options.out.mkdir(parents=True, exist_ok=True)
    waiting = [(p, s) for s in options.seeds for p in options.presets]
    waiting = [job for job in waiting if "test_accuracy" not in result(options.out, *job)]
    end = time.monotonic() + 60 * options.minutes
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        running = [process for process in running if process.poll() is None]
        left = (end - time.monotonic()) / 60
        if waiting and len(running) < options.together and left > 0:
            running.append(start(options.out, *waiting.pop(0), left, rest))
        elif not running:
            break
        time.sleep(0.2)
    return summarise(options.out, options.presets, options.seeds)


def start(
    out: Path, preset: str, seed: int, minutes: float, rest: list[str]
) -> subprocess.Popen[bytes]:
    """Start or resume one training."""
    stem = out / f"{preset}-{seed}"
    command = [sys.executable, "-m", "neurossm.train", "--preset", preset, "--seed", str(seed)]
    command += ["-o", f"{stem}.pt", "--log", f"{stem}.csv", "--resume"]
    command += ["--max-minutes", f"{minutes:.2f}", *rest]
    paths = [str(SRC), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with open(f"{stem}.txt", "ab") as printed, open(f"{stem}.json", "wb") as results:
        return subprocess.Popen(command, env=environment, stdout=results, stderr=printed)


def result(out: Path, preset: str, seed: int) -> dict[str, object]:
    """Return what a training that ended printed; nothing if there is none."""
    try:
        found: dict[str, object] = json.loads((out / f"{preset}-{seed}.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def summarise(out: Path, presets: list[str], seeds: list[int]) -> int:
    """Write summary.csv and print it; return 1 if a training is not finished."""
    names = [
        "preset",
        "seed",
        "epoch",
        "parameters",
        "held_out_accuracy",
        "test_accuracy",
        "seconds",
    ]
    names += ["device", "torch"]
    rows, missing = [], 0
    for preset in presets:
        found = {seed: result(out, preset, seed) for seed in seeds}
        done = [float(str(r["test_accuracy"])) for r in found.values() if "test_accuracy" in r]
        missing += len(seeds) - len(done)
        for seed, r in found.items():
            rows.append({"preset": preset, "seed": seed, **{n: r.get(n, "") for n in names[2:]}})
            print(f"{preset} seed {seed}: {r.get('test_accuracy', 'not finished')}")
        if done:
            median, least = 100 * statistics.median(done), 100 * min(done)
            print(f"{preset}: median {median:.2f} %, least {least:.2f} %")
    with open(out / "summary.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    print("all are finished" if not missing else f"{missing} not finished: run it again")
    return int(missing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
