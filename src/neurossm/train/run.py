"""Train one network by its settings, from the data to the checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from neurossm.errors import FormatError, InputError
from neurossm.models.network import Network
from neurossm.train.arrays import array_task
from neurossm.train.freeze import freeze
from neurossm.train.loop import Trainer, TrainLimits, derived_seed, shared_accuracy
from neurossm.train.options import TrainSource
from neurossm.train.processes import Processes
from neurossm.train.settings import TrainSettings
from neurossm.train.start import start
from neurossm.train.store import Store
from neurossm.train.tasks import Task, TaskRequest, named_task
from neurossm.train.watch import EpochReport, Watch

if TYPE_CHECKING:
    from neurossm.train.qat import Quantiser

CALIBRATION_SAMPLES = 64


@dataclass(frozen=True)
class Outcome:
    """Result of a training.

    Attributes
    ----------
    model
        The network that is kept, in evaluation mode.
    reports
        One per epoch.
    training
        What the checkpoint tells about its making, accuracies included.
    finished
        Whether the training came to its end; if not, it met a limit.
    """

    model: Network
    reports: list[EpochReport]
    training: dict[str, Any]
    finished: bool


def make_task(source: TrainSource) -> Task:
    """Return the task that a training is for.

    Raises
    ------
    InputError
        If its name is unknown, or it needs a folder with data.
    """
    if source.task == "arrays":
        if source.data is None:
            raise InputError("--data must name DATA.npz to train on, or --task a task")
        return array_task(source.data, source.eval, source.input)
    if source.data is None or not Path(source.data).is_file():
        for name in ("eval", "input"):
            if getattr(source, name) is not None:
                raise InputError(f"--{name} is for arrays; task {source.task} has its own")
        return named_task(source.task, TaskRequest(source.data))
    task = array_task(source.data, source.eval, source.input)
    if task.name != source.task:
        raise InputError(f"{source.data}: holds the task {task.name}, not {source.task}")
    return task


def train(
    settings: TrainSettings,
    output: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    device: torch.device | None = None,
    processes: Processes | None = None,
    watches: Sequence[Watch] = (),
    limits: TrainLimits | None = None,
) -> Outcome:
    """Train a network; at the end, and only then, evaluate it on the test samples.

    Parameters
    ----------
    settings
        What and how.
    output
        Checkpoint to write, see `Store`; None: none.
    resume
        Go on with the training whose files are at ``output``, or begin if there are none. The
        losses are those of a training that was never interrupted: to the bit on a CPU.
    device
        Where to train; None: the CPU.
    processes
        Those that train together; the first one writes.
    watches
        Told about steps and epochs, in the first process.
    limits
        Where to stop before the end. After ``limits.steps`` nothing is left to resume.

    Raises
    ------
    InputError, FormatError
        If the settings, the data or the files do not suit.
    """
    processes, device = processes or Processes(), device or torch.device("cpu")
    task = make_task(settings.source).holding_out(settings.training.validation)
    torch.manual_seed(derived_seed(settings.training.seed, "weights"))
    network, fresh = start(settings.model, task.input, task.classes, settings.source.init)
    _check_labels(network, task)
    quantiser = _quantiser(settings.source, task)
    if quantiser is not None:
        network = quantiser.begin(network).to(device)
        quantiser.refresh([network])
    frozen = freeze(network, settings.source.freeze)
    trainer = Trainer(network.to(device), task, settings.training, processes, quantiser)
    store = _store(output, settings, task, processes)
    state = processes.from_first(None if store is None else store.found(resume))
    if state is not None:
        try:
            trainer.restore(state)
        except FormatError as error:
            where = output if store is None else store.last
            raise FormatError(f"{where}: its {error}; remove it to begin anew") from None
    for watch in watches if processes.first else ():
        watch.begin(settings.toml())

    def described() -> dict[str, Any]:
        return _describe(trainer, settings, fresh, frozen)

    def save() -> None:
        if store is None:
            return
        store.save_last(trainer.evaluated, described(), trainer.state(), trainer.finished)
        if trainer.between_epochs and trainer.kept_epoch == len(trainer.reports):
            kept = trainer.evaluated
            store.save_kept(kept if quantiser is None else quantiser.rounded(kept), described())

    trial = limits is not None and limits.steps is not None
    trainer.run(watches if processes.first else (), None if trial else save, limits)
    network.load_state_dict(trainer.kept())
    if quantiser is not None:
        quantiser.refresh([network])
    training = described()
    if trainer.finished and len(task.test):
        training["test_samples"] = len(task.test)
        training["test_accuracy"] = shared_accuracy(network, task.test.to(device), processes)
    network = network if quantiser is None else quantiser.finished(network.eval())
    if store is not None and (trainer.finished or trial):
        store.save_kept(network, training)
    processes.wait()
    return Outcome(network.eval(), trainer.reports, training, trainer.finished)


def _quantiser(source: TrainSource, task: Task) -> Quantiser | None:
    if source.precision is not None and not source.qat:
        raise InputError("--precision: widths are for --qat; give it, too")
    if not source.qat:
        return None
    from neurossm.train.qat import Quantiser  # the compiler needs more packages than training

    return Quantiser.of(source.precision, task.train)


def _check_labels(network: Network, task: Task) -> None:
    """Refuse labels of another kind than a network's logits."""
    pool = network.config.pool
    for samples in (task.train, task.test):
        if len(samples) and samples.each != (pool == "none"):
            kind = "(samples, steps), one per step" if samples.each else "(samples), one per sample"
            wanted = (
                "only pool none has logits of every step"
                if samples.each
                else ("the logits of pool none are of every step")
            )
            raise InputError(f"pool {pool}: labels y are {kind}; {wanted}: --pool")


def _store(
    output: str | os.PathLike[str] | None, settings: TrainSettings, task: Task, processes: Processes
) -> Store | None:
    if output is None or not processes.first:
        return None
    return Store(output, settings.tables(), task.train.take(slice(CALIBRATION_SAMPLES)))


def _describe(
    trainer: Trainer, settings: TrainSettings, fresh: list[str], frozen: list[str]
) -> dict[str, Any]:
    kept = trainer.reports[trainer.kept_epoch - 1] if trainer.reports else None
    device = trainer.device
    return {
        "task": trainer.task.name,
        "seed": settings.training.seed,
        "parameters": trainer.model.parameter_count(),
        "seconds": round(sum(report.seconds for report in trainer.reports), 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "processes": trainer.processes.size,
        "torch": str(torch.__version__),
        "epoch": trainer.kept_epoch,
        "final_loss": None if kept is None else kept.loss,
        "held_out_samples": len(trainer.task.held_out),
        "held_out_accuracy": None if kept is None else kept.held_out_accuracy,
        "fresh": fresh,
        "frozen": frozen,
        "settings": {name or "source": table for name, table in settings.tables().items()},
    }
