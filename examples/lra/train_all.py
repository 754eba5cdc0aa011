"""Train a preset of the Long Range Arena for given minutes, compile it, and judge the integers.

Usage: python examples/lra/train_all.py PRESET [--data FILE] --minutes M --out FOLDER [-- OPTIONS]

Run it again until it says that all is done: it goes on where it was stopped. The epochs that fit
the minutes are found by a short trial at the first call (--epochs E asks for a number instead) and
kept in FOLDER/PRESET.plan.json. FOLDER gets PRESET.pt and PRESET.last.pt, PRESET.csv (a row per
epoch), PRESET.training.json, PRESET.h5 (the program) and PRESET.json: accuracies of float,
approximated and fixed, their paired difference, same top-1, spikes by layer, cost and cores.
Nothing but the checkpoint is given to the compiler. --copy FOLDER2 packs all but data and program
there after each call, in pieces of 15 MB, PRESET.tar.piece0 and so on; another machine goes on with
them in FOLDER. Options after -- are those of `python -m neurossm.train`. It needs PyTorch, NumPy,
SciPy, Numba and h5py alone.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import sys
import tarfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import torch

from neurossm import compile_model, verify
from neurossm.cost import profile
from neurossm.datafile import Data
from neurossm.models import load
from neurossm.parity.statistics import Proportion, compare_paired
from neurossm.program import Program
from neurossm.train import TrainLimits, TrainSettings, make_device, make_task, train, write_task
from neurossm.train.__main__ import parser as training_parser
from neurossm.train.command import chosen_settings
from neurossm.train.objective import predict
from neurossm.train.tasks import Samples
from neurossm.train.watch import CsvLog, Lines, Watch

BEGAN = time.monotonic()
TRIAL_STEPS = 300
SPARE = 0.94
"""Share of the minutes that the epochs are planned for; evaluation and captured steps take more."""
PIECE = 15 << 20
VERIFIED = ("samples", "steps", "accuracy", "paired_difference", "top1_agreement", "survives")
LAYER = ("name", "spike_agreement", "spikes_compared", "firing_rate", "pre_threshold_snr_db")
"""What is kept of `verify`, and of each layer."""
SMOKE = ["--n-layers", "2", "--d-model", "8", "--d-state", "4", "--batch-size", "8"]


def main() -> int:
    """Do what is not done; 1 if something is left to do."""
    options, rest = arguments()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    stem = out / options.preset
    unpack_pieces(out, options.preset)
    try:
        done = train_one(options, rest, stem)
        if done and options.judge:
            judge(options, rest, stem)
    finally:
        if options.copy is not None:
            copy_small(out, options.copy, options.preset)
    say("all is done" if done else "not finished: run it again")
    return int(not done)


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return the options of this script, and those of the training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--data", help="what `neurossm data` wrote, or the original files' folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--copy", type=Path, help="folder for packed copies")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, in all calls")
    parser.add_argument("--epochs", type=int, help="instead of a trial")
    parser.add_argument("--call-minutes", type=float, default=9.0, help="of training in this call")
    parser.add_argument("--verify", type=int, default=2000, help="test samples of `verify`; 0: all")
    parser.add_argument("--profile", type=int, default=200, help="test samples to count on")
    parser.add_argument("--no-judge", dest="judge", action="store_false", help="train only")
    parser.add_argument("--device", help="cuda or cpu; default: cuda if there is one")
    parser.add_argument("--smoke", action="store_true", help="a tiny network on few samples")
    given, rest = sys.argv[1:], []
    if "--" in given:
        cut = given.index("--")
        given, rest = given[:cut], given[cut + 1 :]
    return parser.parse_args(given), rest


def settings_for(options: argparse.Namespace, rest: list[str], stem: Path) -> TrainSettings:
    """Return the settings of the training, without the planned epochs."""
    command = ["--preset", options.preset, *rest, *(SMOKE if options.smoke else [])]
    if options.data is not None:
        command += ["--data", options.data]
    settings = chosen_settings(vars(training_parser().parse_args(command)))
    ready = stem.with_name(f"{stem.name}.data.npz")  # made once, for all that reads it
    if not ready.exists():
        task = make_task(settings.source)
        write_task(ready, task.limited(64) if options.smoke else task, packing="none")
        say(f"{len(task.train):,} training samples: {ready}")
    return replace(settings, source=replace(settings.source, data=str(ready)))


def train_one(options: argparse.Namespace, rest: list[str], stem: Path) -> bool:
    """Train or go on; return whether the training is finished."""
    if Path(f"{stem}.training.json").exists():
        return True
    device = make_device(options.device)
    settings = settings_for(options, rest, stem)
    settings = replace(settings, training=replace(settings.training, epochs=1))
    plan = Path(f"{stem}.plan.json")
    if not plan.exists():
        epochs = options.epochs or planned_epochs(settings, options.minutes, device)
        plan.write_text(json.dumps({"epochs": epochs}))
    epochs = json.loads(plan.read_text())["epochs"]
    settings = replace(settings, training=replace(settings.training, epochs=epochs))
    left = options.call_minutes - (time.monotonic() - BEGAN) / 60
    say(f"{epochs} epochs in all, {left:.1f} minutes in this call")
    outcome = train(
        settings,
        f"{stem}.pt",
        resume=True,
        device=device,
        watches=[Lines(sys.stderr, settings.training.batch_size), CsvLog(f"{stem}.csv")],
        limits=TrainLimits(minutes=left),
    )
    if outcome.finished:
        Path(f"{stem}.training.json").write_text(json.dumps(outcome.training, indent=1))
        say(f"test accuracy {outcome.training['test_accuracy']:.4f}")
    return outcome.finished


class Clock(Watch):
    """Times the second half of a trial."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self.steps, self.device, self.total = steps, device, 0
        self.times: list[float] = []

    def step(self, done: int, total: int) -> None:
        """Look at the clock in the middle and at the end."""
        self.total = total
        if done in (self.steps // 2, self.steps):
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            self.times.append(time.monotonic())


def planned_epochs(settings: TrainSettings, minutes: float, device: torch.device) -> int:
    """Return how many epochs fit, by a trial whose network is thrown away."""
    steps = TRIAL_STEPS if device.type == "cuda" else 4
    clock = Clock(steps, device)
    long = replace(settings, training=replace(settings.training, epochs=1000))
    train(long, device=device, watches=[clock], limits=TrainLimits(steps=steps))
    gc.collect()  # captured steps hold memory
    seconds = (clock.times[1] - clock.times[0]) / (steps - steps // 2)
    per_epoch = seconds * clock.total / 1000
    epochs = max(2, int(SPARE * 60 * minutes / per_epoch))
    say(f"trial: {1000 * seconds:.1f} ms a step, {per_epoch:.1f} s an epoch, {epochs} epochs")
    return epochs


def judge(options: argparse.Namespace, rest: list[str], stem: Path) -> None:
    """Compile the checkpoint and write what its integers are worth."""
    results = Path(f"{stem}.json")
    if results.exists():
        return
    model, compiled = f"{stem}.pt", Path(f"{stem}.h5")
    if not compiled.exists():
        compile_model(model).save(compiled)
    program = Program.load(compiled)
    say(f"compiled: {compiled}")
    device = make_device(options.device)
    test = make_task(settings_for(options, rest, stem).source).test
    engine = "fast:cuda" if device.type == "cuda" else "fast"
    found: dict[str, Any] = {
        "preset": options.preset,
        "training": json.loads(Path(f"{stem}.training.json").read_text()),
        "whole": whole_test(model, program, test, device),
    }
    say(f"whole test set: {found['whole']}")
    data = data_of(test.limited(options.verify or None))
    outcome = verify(program, data, model=model, engines=(engine,))
    compared = outcome.to_json()
    layers = [{name: layer[name] for name in LAYER} for layer in compared["layers"]]
    found["verify"] = {name: compared[name] for name in VERIFIED}
    found["verify"] |= {"layers": layers, "engine": engine, "verdict": outcome.verdict}
    say(outcome.verdict)
    cost = profile(program, data_of(test.limited(options.profile))).to_json()
    found["cost"] = {name: value for name, value in cost.items() if name not in ("cores", "layers")}
    results.write_text(json.dumps(found, indent=1))


def whole_test(
    model: str, program: Program, test: Samples, device: torch.device
) -> dict[str, object]:
    """Compare the trained network, float32, with the integers on all test samples."""
    network = load(model).model.to(device)
    on_device = test.to(device)
    trained = predict(network, on_device.x, lengths=on_device.lengths).cpu().numpy()
    data, y = data_of(test), test.y.numpy()
    begin = time.monotonic()
    run = program.run(data.x, device=device.type, lengths=data.lengths)
    seconds = time.monotonic() - begin
    fixed = run.logits.argmax(axis=1)
    paired = compare_paired(trained == y, fixed == y)
    return {
        "samples": len(y),
        "float32": asdict(Proportion.of(int((trained == y).sum()), len(y))),
        "fixed": asdict(Proportion.of(int((fixed == y).sum()), len(y))),
        "paired_difference": asdict(paired),
        "top1_agreement": asdict(Proportion.of(int((trained == fixed).sum()), len(y))),
        "seconds_of_integers": round(seconds, 1),
    }


def data_of(samples: Samples) -> Data:
    """Return samples as arrays."""
    lengths = None if samples.lengths is None else samples.lengths.numpy()
    return Data(samples.x.numpy(), samples.y.numpy(), "test", lengths)


def copy_small(out: Path, to: Path, preset: str) -> None:
    """Pack checkpoints and results, and write the archive in pieces."""
    to.mkdir(parents=True, exist_ok=True)
    finished = Path(f"{out / preset}.training.json").exists()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(out.glob(f"{preset}.*")):
            needless = finished and path.name.endswith(".last.pt")
            if path.suffix in (".pt", ".csv", ".json") and not needless:
                archive.add(path, path.name)
    content = packed.getvalue()
    for number, start in enumerate(range(0, len(content), PIECE)):
        (to / f"{preset}.tar.piece{number}").write_bytes(content[start : start + PIECE])


def unpack_pieces(out: Path, preset: str) -> None:
    """Unpack what an earlier machine had copied, if this one has nothing yet."""
    pieces = sorted(out.glob(f"{preset}.tar.piece*"))
    if pieces and not (out / f"{preset}.plan.json").exists():
        content = io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))
        with tarfile.open(fileobj=content) as archive:
            archive.extractall(out, filter="data")


def say(text: str) -> None:
    """Print a line with the minutes since the beginning."""
    print(f"[{(time.monotonic() - BEGAN) / 60:5.1f} min] {text}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
