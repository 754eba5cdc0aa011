"""Train one network with a recipe and write its checkpoint."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from neurossm.errors import InputError
from neurossm.models.checkpoint import save
from neurossm.models.network import Network
from neurossm.train.loop import EpochReport, accuracy, fit
from neurossm.train.recipes import Recipe
from neurossm.train.tasks import Task, sequential_mnist, token_order

CALIBRATION_SAMPLES = 64
TASKS = ("smnist", "token-order")


@dataclass(frozen=True)
class Outcome:
    """Result of a training.

    Attributes
    ----------
    model
        The network of the last epoch.
    reports
        One per epoch.
    training
        What the checkpoint tells about its making, accuracies included.
    """

    model: Network
    reports: list[EpochReport]
    training: dict[str, Any]


def make_task(name: str, folder: str | os.PathLike[str] | None = None) -> Task:
    """Return a task by name.

    Raises
    ------
    InputError
        If the name is unknown, or the task needs a folder with data.
    """
    if name == "token-order":
        return token_order()
    if name == "smnist":
        if folder is None:
            raise InputError("task smnist: --data must name the folder with the MNIST files")
        return sequential_mnist(folder)
    raise InputError(f"task {name!r} is unknown; known are {', '.join(TASKS)}")


def make_device(name: str | None = None) -> torch.device:
    """Return the device of that name, or the GPU if there is one.

    Raises
    ------
    InputError
        If the device cannot be used.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used: {reason}") from error
    return device


def train(
    task: Task,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    report: Callable[[EpochReport], None] | None = None,
    max_steps: int | None = None,
) -> Outcome:
    """Train a network and evaluate it once on the test samples.

    Parameters
    ----------
    task, recipe
        What and how.
    seed
        Of weights, order of samples, dropout and distortion.
    device
        Where to train.
    report
        Called after each epoch.
    max_steps
        Stop early, for trials.
    """
    torch.manual_seed(seed)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 in training; `accuracy` undoes it
    model = Network(recipe.model(task)).to(device)
    start = time.perf_counter()
    reports = fit(model, task, recipe.training, report, max_steps)
    seconds = time.perf_counter() - start
    training = {
        "task": task.name,
        "seed": seed,
        "parameters": model.parameter_count(),
        "seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "torch": str(torch.__version__),
        "final_loss": reports[-1].loss,
        "held_out_samples": len(task.held_out),
        "held_out_accuracy": reports[-1].held_out_accuracy,
        "recipe": asdict(recipe.training),
    }
    if max_steps is None:  # the test samples are for finished trainings only
        training["test_samples"] = len(task.test)
        training["test_accuracy"] = accuracy(model, task.test.to(device))
    return Outcome(model, reports, training)


def save_outcome(path: str | os.PathLike[str], outcome: Outcome, task: Task) -> None:
    """Write the checkpoint, with training samples to calibrate on."""
    save(path, outcome.model, task.train.x[:CALIBRATION_SAMPLES], outcome.training)
