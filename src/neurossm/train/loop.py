"""The training loop: AdamW, a learning-rate schedule, and one CUDA graph per step on a GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.errors import InputError
from neurossm.models.network import Network
from neurossm.train.augment import Augmentation, distort
from neurossm.train.tasks import Samples, Task

SSM_PARAMETERS = ("log_dt", "A_real_log", "A_imag", "B")
EAGER_STEPS = 3


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    epochs, batch_size
        A fixed number of epochs; an incomplete last batch is left out.
    lr, ssm_lr
        Peak learning rates; the second is for poles, step sizes and input weights of the SSMs,
        which get no weight decay.
    weight_decay
        Of matrices; biases, norms and D get none.
    schedule
        ``one-cycle``: cosine up during the first 30 %, cosine down; ``cosine``: linear up during
        the first 5 %, cosine down.
    clip
        Largest gradient norm; None: no clipping.
    label_smoothing
        Share of the target spread over all classes.
    augmentation
        Distortion of images; None: none.
    """

    epochs: int
    batch_size: int = 128
    lr: float = 0.01
    ssm_lr: float = 0.001
    weight_decay: float = 0.01
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    clip: float | None = None
    label_smoothing: float = 0.0
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did: mean loss, seconds of training, accuracy on held-out samples."""

    epoch: int
    loss: float
    seconds: float
    held_out_accuracy: float


def schedule_factor(kind: str, progress: float) -> float:
    """Return the share of the peak learning rate at ``progress`` in [0, 1]."""
    warm = 0.3 if kind == "one-cycle" else 0.05
    if progress < warm:
        share = progress / warm
        if kind == "cosine":
            return share
        return 0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * share))
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warm) / (1.0 - warm)))


def make_optimizer(model: nn.Module, config: TrainConfig, fused: bool) -> torch.optim.AdamW:
    """Return AdamW with three groups: SSM parameters, vectors, and everything else."""
    ssm: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] in SSM_PARAMETERS:
            ssm.append(parameter)
        else:
            (plain if parameter.ndim < 2 else decayed).append(parameter)
    device = next(model.parameters()).device
    groups = []
    for parameters, peak, decay in (
        (ssm, config.ssm_lr, 0.0),
        (plain, config.lr, 0.0),
        (decayed, config.lr, config.weight_decay),
    ):
        # A captured step reads the rate from memory, so there it must be a tensor.
        rate = torch.tensor(0.0, device=device) if fused else 0.0
        groups.append({"params": parameters, "lr": rate, "peak": peak, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=fused, capturable=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's learning rate to a share of its peak."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(group["peak"] * factor)
        else:
            group["lr"] = group["peak"] * factor


@contextmanager
def fused_mixers(model: Network) -> Iterator[None]:
    """Let the compiler fuse what each layer does after its SSM, while the block runs."""
    mixers = [block.mixer for block in model.blocks]
    for mixer in mixers:
        mixer.mix = torch.compile(mixer.mix, dynamic=False)
    try:
        yield
    finally:
        for mixer in mixers:
            del mixer.mix  # the class's own method is found again


class Stepper:
    """Runs training steps; on a GPU the steps after the first few replay one CUDA graph.

    Parameters
    ----------
    model, optimizer, config
        What to train and how.
    """

    def __init__(
        self, model: Network, optimizer: torch.optim.Optimizer, config: TrainConfig
    ) -> None:
        self.model, self.optimizer, self.config = model, optimizer, config
        self.graph: torch.cuda.CUDAGraph | None = None
        self.steps = 0
        self.x = self.y = self.loss = torch.empty(0)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Do one step on a batch and return its loss, a scalar on the device."""
        self.steps += 1
        if not x.is_cuda:
            return self._step(x, y)
        if self.graph is None:
            with fused_mixers(self.model):
                if self.steps <= EAGER_STEPS:
                    return self._step_aside(x, y)
                self.graph = self._capture(x, y)
        self.x.copy_(x)
        self.y.copy_(y)
        self.graph.replay()
        return self.loss

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(x), y, label_smoothing=self.config.label_smoothing)
        loss.backward()
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return loss.detach()

    def _step_aside(self, x: Tensor, y: Tensor) -> Tensor:
        """Do a step on a side stream, which a later capture requires."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = self._step(x, y)
        torch.cuda.current_stream().wait_stream(stream)
        return loss

    def _capture(self, x: Tensor, y: Tensor) -> torch.cuda.CUDAGraph:
        self.x, self.y = x.clone(), y.clone()
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.loss = self._step(self.x, self.y)
        return graph


@torch.no_grad()
def predict(model: Network, x: Tensor, batch_size: int = 500) -> Tensor:
    """Return the classes (S,) that a network in evaluation mode gives to raw inputs."""
    model.eval()
    parts = [model(part).argmax(dim=-1) for part in x.split(batch_size)]
    return torch.cat(parts)


def accuracy(model: Network, samples: Samples, batch_size: int = 500) -> float:
    """Return the share of samples that a network classifies correctly, in full precision."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    right = int((predict(model, samples.x, batch_size) == samples.y).sum())
    torch.set_float32_matmul_precision(precision)
    return right / len(samples)


def fit(
    model: Network,
    task: Task,
    config: TrainConfig,
    report: Callable[[EpochReport], None] | None = None,
    max_steps: int | None = None,
) -> list[EpochReport]:
    """Train a network on a task, on the device where the network is.

    Parameters
    ----------
    model
        Changed in place; left in evaluation mode.
    task
        Only its training and held-out samples are used.
    config
        How to train; the schedule is fixed and the last epoch is kept.
    report
        Called after each epoch.
    max_steps
        Stop after so many steps, for trials; the schedule stays that of the whole training.

    Raises
    ------
    InputError
        If there are fewer training samples than a batch takes.
    """
    device = next(model.parameters()).device
    train, held_out = task.train.to(device), task.held_out.to(device)
    per_epoch = len(train) // config.batch_size
    if per_epoch == 0:
        raise InputError(f"batch size {config.batch_size} exceeds the {len(train)} samples")
    optimizer = make_optimizer(model, config, fused=device.type == "cuda")
    stepper = Stepper(model, optimizer, config)
    reports: list[EpochReport] = []
    for epoch in range(config.epochs):
        model.train()
        start, total = time.perf_counter(), torch.zeros((), device=device)
        order = torch.randperm(len(train), device=device)
        for number in range(per_epoch):
            done = epoch * per_epoch + number
            if max_steps is not None and done >= max_steps:
                break
            chosen = order[number * config.batch_size : (number + 1) * config.batch_size]
            x = train.x[chosen]
            if config.augmentation is not None and task.image_side is not None:
                x = distort(x, task.image_side, config.augmentation)
            progress = done / (config.epochs * per_epoch)
            set_learning_rate(optimizer, schedule_factor(config.schedule, progress))
            total += stepper(x, train.y[chosen])
        loss = float(total) / per_epoch
        seconds = time.perf_counter() - start
        reports.append(EpochReport(epoch + 1, loss, seconds, accuracy(model, held_out)))
        if report is not None:
            report(reports[-1])
        if max_steps is not None and (epoch + 1) * per_epoch >= max_steps:
            break
    model.eval()
    return reports
