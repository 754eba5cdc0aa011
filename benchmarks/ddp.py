"""Compare training on two GPUs with training on one: losses and samples per second.

Usage: python benchmarks/ddp.py [--data FOLDER] [--processes 2] [--steps 100]

Trains the same network with the same global batch, without dropout (which each process draws for
its own samples), by torchrun with 1 and with N processes: DistributedDataParallel, SyncBatchNorm,
NCCL. Prints the loss of each epoch of 20 steps, their difference, and samples per second. With
--device cpu the processes are on the CPU (gloo), and the network is without BatchNorm.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from neurossm.models import ModelConfig, Network
from neurossm.train.augment import Augmentation
from neurossm.train.config import TrainConfig
from neurossm.train.loop import Trainer
from neurossm.train.processes import join, leave
from neurossm.train.tasks import Samples, Task
from neurossm.train.tasks.mnist import sequential_mnist
from neurossm.train.tasks.token_order import token_order

STEPS_PER_EPOCH = 20


def worker(options: argparse.Namespace) -> None:
    """Train in one of the processes; the first writes losses and rates."""
    processes, device = join(options.device)
    torch.manual_seed(0)
    task = make_task(options)
    norm: Any = "batch" if device.type == "cuda" else "layer"
    size = options.channels
    config = ModelConfig(options.layer, task.input, task.classes, d_model=size, norm=norm)
    epochs = options.steps // STEPS_PER_EPOCH
    training = TrainConfig(
        epochs,
        options.batch,
        schedule="cosine",
        matmul="float32",
        augmentation=Augmentation(2.0),
    )
    trainer = Trainer(Network(config).to(device), task, training, processes)
    trainer.run()
    if processes.first:
        torch.save([(r.loss, r.samples_per_second) for r in trainer.reports], options.out)
    processes.wait()
    leave()


def make_task(options: argparse.Namespace) -> Task:
    """Return sequential MNIST, or random tokens without its files, cut to an epoch's samples."""
    task = sequential_mnist(options.data) if options.data else token_order(784, 8, 8192)
    count = options.batch * STEPS_PER_EPOCH
    several = -(-count // len(task.train))
    train = task.train.map(lambda values: torch.cat([values] * several)[:count])
    nothing: Samples = task.held_out.take(slice(0))
    return replace(task, train=train, held_out=nothing)


def measure(count: int, given: list[str]) -> list[tuple[float, float]]:
    """Return loss and samples per second of each epoch with so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "reports.pt"
        start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        command = [sys.executable, *start, __file__, *given, "--out", str(out)]
        subprocess.run(command, check=True, env={"OMP_NUM_THREADS": "1", **os.environ})
        reports: list[tuple[float, float]] = torch.load(out)
        return reports


def main() -> None:
    """Compare one process with several."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="folder with the MNIST files; default: random tokens")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=256, help="of all processes together")
    parser.add_argument("--layer", choices=["gsu", "binary-s4d"], default="gsu")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out:
        worker(options)
        return
    one, several = measure(1, sys.argv[1:]), measure(options.processes, sys.argv[1:])
    print(f"{'steps':>6}  {'one process':>12}  {options.processes:>4} processes  difference")
    for number, ((a, _), (b, _)) in enumerate(zip(one, several, strict=True), start=1):
        print(f"{number * STEPS_PER_EPOCH:>6}  {a:>12.7f}  {b:>14.7f}  {b - a:+.1e}")
    rates = [sorted(rate for _, rate in reports[1:])[-1] for reports in (one, several)]
    print(
        f"samples per second: {rates[0]:,.0f} and {rates[1]:,.0f}: {rates[1] / rates[0]:.2f} times"
    )


if __name__ == "__main__":
    main()
