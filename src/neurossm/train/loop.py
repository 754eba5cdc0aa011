"""The training loop, and the state from which it goes on exactly where it was."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import swa_utils

from neurossm.errors import InputError
from neurossm.models.network import Network
from neurossm.train.augment import augmented
from neurossm.train.batches import bucket_steps, epoch_batches
from neurossm.train.config import TrainConfig
from neurossm.train.freeze import hold_frozen
from neurossm.train.objective import count_right
from neurossm.train.optimizer import make_optimizer, schedule_factor, set_learning_rate
from neurossm.train.processes import Processes
from neurossm.train.saved_state import check_state
from neurossm.train.stepper import Stepper
from neurossm.train.tasks import Samples, Task
from neurossm.train.watch import EpochReport, Watch

if TYPE_CHECKING:  # the compiler needs more packages than training alone
    from neurossm.train.qat import Quantiser

State = Mapping[str, Any]


def derived_seed(*parts: object) -> int:
    """Return a seed of 63 bits that depends on all parts.

    Every random number of a training is drawn from a seed made of the training's seed and the
    number of the step or epoch, so that nothing but those has to be remembered to go on.
    """
    text = " ".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class TrainLimits:
    """Where to stop before the end.

    Attributes
    ----------
    steps
        Steps of the optimizer, for trials; the schedule stays that of the whole training.
    minutes
        Of this run: after its first epoch, none begins that would end later, by the time that the
        last one took.
    """

    steps: int | None = None
    minutes: float | None = None


class Trainer:
    """Trains a network on a task, on the device where the network is.

    Parameters
    ----------
    model
        Changed in place.
    task
        Only its training and held-out samples are used.
    config
        How to train.
    processes
        Those that train together.
    quantiser
        Whose grids the network has, to be taken anew for each epoch; None: it has none.

    Attributes
    ----------
    reports
        One per epoch.
    finished
        Whether there is nothing left to do.

    Raises
    ------
    InputError
        If there are fewer training samples than a batch takes, or no held-out samples to choose
        the epoch by.
    """

    def __init__(
        self,
        model: Network,
        task: Task,
        config: TrainConfig,
        processes: Processes | None = None,
        quantiser: Quantiser | None = None,
    ) -> None:
        self.quantiser = quantiser
        self.device = next(model.parameters()).device
        self.processes = processes or Processes()
        self.model, self.task, self.config = model, task, config
        self.train, self.held_out = task.train.to(self.device), task.held_out.to(self.device)
        self.lengths = task.train.steps().cpu()  # asked for each batch, without waiting for a GPU
        self.order = None if task.order is None else task.order.to(self.device)
        self.per_epoch = len(self.train) // config.batch_size
        self._check()
        self.processes.synchronise(model)
        self.optimizer = make_optimizer(model, config, fused=self.device.type == "cuda")
        self.average: swa_utils.AveragedModel | None = None
        if config.ema:
            library: Any = swa_utils  # its type information lacks this
            function = library.get_ema_multi_avg_fn(config.ema)
            self.average = library.AveragedModel(model, multi_avg_fn=function, use_buffers=True)
        self.stepper = Stepper(model, self.optimizer, config, self.processes)
        self.generator = torch.Generator(self.device)
        self.reports: list[EpochReport] = []
        self.best: dict[str, Tensor] | None = None
        self.best_epoch = 0
        self.done = 0  # steps of the optimizer
        self.total = torch.zeros(
            (), dtype=torch.float64, device=self.device
        )  # of this epoch's losses
        self.seconds = 0.0  # of this epoch

    def _check(self) -> None:
        size, processes = self.config.batch_size, self.processes.size
        if self.per_epoch == 0:
            raise InputError(f"batch size {size} exceeds the {len(self.train)} samples")
        if size % (processes * self.config.accumulate):
            raise InputError(
                f"batch size {size} is no multiple of {processes} processes times "
                f"{self.config.accumulate} parts"
            )
        if self.config.augmentation is not None:
            self.config.augmentation.check(self.task)
        if self.config.bucket and self.train.lengths is None:
            raise InputError("bucket: the data have no lengths, no sample ends early; leave it out")
        if not len(self.held_out) and (self.config.patience or self.config.keep == "best"):
            raise InputError(
                "keep = best and patience need held-out samples: --validation 0.1 takes a tenth "
                "of the training samples"
            )

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.config.epochs * self.per_epoch

    @property
    def evaluated(self) -> Network:
        """The network that is evaluated and kept: the average of the weights, if there is one."""
        if self.average is None or self.done == 0:
            return self.model
        network: Network = self.average.module
        return network

    @property
    def stopped_early(self) -> bool:
        """Whether the held-out accuracy has not risen for as long as the configuration waits."""
        if not self.config.patience or not self.reports:
            return False
        found = [report.held_out_accuracy or 0.0 for report in self.reports]
        waited = len(found) - 1 - found.index(max(found))
        return waited >= self.config.patience

    @property
    def between_epochs(self) -> bool:
        """Whether the last epoch that was begun came to its end."""
        return self.done % self.per_epoch == 0

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.done == self.steps or (self.stopped_early and self.between_epochs)

    def kept(self) -> dict[str, Tensor]:
        """Return the weights to keep, of the best epoch or the last one."""
        if self.config.keep == "best" and self.best is not None:
            return self.best
        return _copy(self.evaluated)

    @property
    def kept_epoch(self) -> int:
        """The epoch that `kept` is of."""
        return self.best_epoch if self.config.keep == "best" else len(self.reports)

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs: tensors and plain values."""
        return {
            "grids": None if self.quantiser is None else self.quantiser.state(self.model),
            "done": self.done,
            "total": self.total.cpu().clone(),
            "seconds": self.seconds,
            "model": _copy(self.model),
            "average": None if self.average is None else _copy(self.average),
            "optimizer": self.optimizer.state_dict()["state"],
            "reports": [asdict(report) for report in self.reports],
            "best": self.best,
            "best_epoch": self.best_epoch,
        }

    def restore(self, state: State) -> None:
        """Go on from what `state` returned, in another process perhaps.

        Raises
        ------
        FormatError
            If it is damaged, or of another training.
        """
        groups = self.optimizer.param_groups
        check_state(
            state,
            self.steps,
            self.per_epoch,
            [parameter for group in groups for parameter in group["params"]],
            self.model.state_dict(),
            None if self.average is None else self.average.state_dict(),
        )
        self.done, self.seconds = state["done"], state["seconds"]
        self.total = state["total"].to(self.device)
        self.model.load_state_dict(state["model"])
        if self.quantiser is not None:
            self.quantiser.restore(self.model, state.get("grids"))
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        self.reports = [
            EpochReport(**{**report, "spike_rates": tuple(report.get("spike_rates", ()))})
            for report in state["reports"]
        ]
        self.best, self.best_epoch = state["best"], state["best_epoch"]

    def run(
        self,
        watches: Sequence[Watch] = (),
        save: Callable[[], None] | None = None,
        limits: TrainLimits | None = None,
    ) -> None:
        """Train to the end, or to a limit.

        Parameters
        ----------
        watches
            Told about steps and epochs.
        save
            Called after each epoch, and within one every ``save_minutes``.
        limits
            Where to stop before the end; None: nowhere.
        """
        limits = limits or TrainLimits()
        begin, already = time.monotonic(), len(self.reports)
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.config.matmul == "tf32" else "highest")
        try:
            while not self.finished and not self._at_limit(limits, begin, already):
                self._epoch(watches, save, limits.steps)
                for watch in watches:
                    watch.epoch(self.reports, self.steps)
                if save is not None:
                    save()
        finally:
            torch.set_float32_matmul_precision(precision)

    def _at_limit(self, limits: TrainLimits, begin: float, already: int) -> bool:
        if limits.steps is not None and self.done >= limits.steps:
            return True
        if limits.minutes is None or len(self.reports) == already:
            return False
        end = time.monotonic() - begin + self.reports[-1].seconds
        late = end > 60.0 * limits.minutes
        return self.processes.from_first(late)

    def _epoch(
        self, watches: Sequence[Watch], save: Callable[[], None] | None, steps: int | None
    ) -> None:
        epoch, first = divmod(self.done, self.per_epoch)
        if self.quantiser is not None and first == 0 and epoch:
            average = [] if self.average is None else [self.average.module]
            self.quantiser.refresh([self.model, *average])
        self.model.train()
        hold_frozen(self.model)
        generator = torch.Generator().manual_seed(derived_seed(self.config.seed, "order", epoch))
        size, bucket = self.config.batch_size, self.config.bucket
        batches = epoch_batches(self.lengths, size, bucket, generator)
        longest = self.lengths[batches].amax(dim=1).tolist()
        order = batches.to(self.device)
        begin = saved = time.monotonic()
        before, factor = self.seconds, 0.0
        with self.stepper.epoch():
            for number in range(first, self.per_epoch):
                if steps is not None and self.done >= steps:
                    break
                read = bucket_steps(longest[number], bucket, self.train.x.shape[1])
                factor = self._step(order[number], read)
                for watch in watches:
                    watch.step(self.done, self.steps)
                now = time.monotonic()
                last = number == self.per_epoch - 1
                if save is not None and not last and now - saved > 60 * self.config.save_minutes:
                    self.seconds, saved = before + now - begin, now
                    save()
        count = (self.done - 1) % self.per_epoch + 1
        loss = float(self.total) / count  # waits for the GPU
        if not math.isfinite(loss):
            raise InputError(f"epoch {epoch + 1}: the mean loss is {loss}; lower --lr, or --clip 1")
        self.seconds = before + time.monotonic() - begin
        rate = count * size / self.seconds
        accuracy = self._evaluate()
        self.reports.append(
            EpochReport(
                epoch + 1, self.done, loss, accuracy, factor, self.seconds, rate, self._rates()
            )
        )
        self.total = torch.zeros_like(self.total)
        self.seconds = 0.0

    def _rates(self) -> tuple[float, ...]:
        """Return each layer's share of spikes in the last step, over all processes."""
        penalty = self.stepper.penalty
        return () if penalty is None else tuple(self.processes.mean(penalty.rates).tolist())

    def _step(self, chosen: Tensor, steps: int) -> float:
        """Train on so many steps of a batch; return the share of the peak learning rate."""
        seed, rank, size = self.config.seed, self.processes.rank, self.processes.size
        factor = schedule_factor(
            self.config.schedule, self.done / self.steps, self.config.warmup or 0.0
        )
        set_learning_rate(self.optimizer, factor)
        self.generator.manual_seed(derived_seed(seed, "augmentation", self.done))
        batch = self._augmented(self.train.take(chosen).first(steps))
        # interleaved, so that parts of an accumulated batch hold the same samples for any size
        part = batch.take(slice(rank, None, size))
        torch.manual_seed(derived_seed(seed, "dropout", self.done, rank))
        self.total += self.stepper(part)
        self.done += 1
        if self.average is not None:
            self.average.update_parameters(self.model)
        return factor

    def _augmented(self, batch: Samples) -> Samples:
        bounds = self.config.augmentation
        if bounds is None:
            return batch
        return augmented(batch, self.task, bounds, self.order, self.generator)

    def _evaluate(self) -> float | None:
        """Return the accuracy on the held-out samples; remember the best network."""
        if not len(self.held_out):
            return None
        accuracy = shared_accuracy(self.evaluated, self.held_out, self.processes)
        earlier = [r.held_out_accuracy for r in self.reports if r.held_out_accuracy is not None]
        if all(accuracy >= other for other in earlier):
            self.best, self.best_epoch = _copy(self.evaluated), len(self.reports) + 1
        return accuracy


def fit(
    model: Network,
    task: Task,
    config: TrainConfig,
    watches: Sequence[Watch] = (),
    max_steps: int | None = None,
) -> list[EpochReport]:
    """Train a network on a task; it ends with the weights to keep, in evaluation mode.

    See `Trainer` for the parameters and what is raised, `TrainLimits` for ``max_steps``.
    """
    trainer = Trainer(model, task, config)
    trainer.run(watches, limits=TrainLimits(steps=max_steps))
    model.load_state_dict(trainer.kept())
    model.eval()
    return trainer.reports


def shared_accuracy(model: Network, samples: Samples, processes: Processes) -> float:
    """Return a network's accuracy; each process classifies some of the samples."""
    mine = samples.take(slice(processes.rank, None, processes.size))
    right = count_right(model, mine) if len(mine) else 0
    return processes.total(right, samples.y.device) / samples.answers


def _copy(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
