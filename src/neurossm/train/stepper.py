"""One training step; on a single GPU captured as CUDA graphs, one per length, and replayed."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurossm.models.network import Network
from neurossm.train.config import TrainConfig
from neurossm.train.objective import RatePenalty, loss_of
from neurossm.train.processes import Processes
from neurossm.train.tasks import Samples

EAGER_STEPS = 3
COMPILED_LENGTHS = 64


@contextmanager
def fused_mixers(model: Network) -> Iterator[None]:
    """Let the compiler fuse what each layer does after its SSM, while the block runs."""
    compiler: Any = importlib.import_module("torch._dynamo.config")  # takes seconds
    mixers = [block.mixer for block in model.blocks]
    for mixer in mixers:
        mixer.mix = torch.compile(mixer.mix, dynamic=False)
    # each length of samples is compiled for itself; beyond the limit layers would run unfused
    limit = "recompile_limit" if hasattr(compiler, "recompile_limit") else "cache_size_limit"
    try:
        with compiler.patch({limit: COMPILED_LENGTHS * len(mixers)}):
            yield
    finally:
        for mixer in mixers:
            del mixer.mix  # the class's own method is found again


@dataclass(frozen=True)
class CapturedStep:
    """A step on a GPU, recorded with the batch that it reads and the loss that it writes."""

    graph: torch.cuda.CUDAGraph
    batch: Samples
    loss: Tensor

    def __call__(self, batch: Samples) -> Tensor:
        """Do the step on another batch of as many steps."""
        self.batch.copy_(batch)
        self.graph.replay()
        return self.loss


class Stepper:
    """Runs training steps; on one GPU those after the first few of each length replay a CUDA graph.

    The graphs share their memory: each leaves nothing but its loss, which must be read before the
    next step. Several processes run every step eagerly: their exchange is not captured.

    Parameters
    ----------
    model, optimizer, config
        What to train and how.
    processes
        Those that share each batch.
    """

    def __init__(
        self,
        model: Network,
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        processes: Processes | None = None,
    ) -> None:
        self.model, self.optimizer, self.config = model, optimizer, config
        self.processes = processes or Processes()
        self.on_gpu = next(model.parameters()).is_cuda
        self.parallel = self.processes.parallel(model)
        self.captured: dict[int, CapturedStep] = {}
        self.eager: Counter[int] = Counter()
        self.penalty: RatePenalty | None = None
        if config.rate is not None:
            self.penalty = RatePenalty(model, config.rate, config.rate_weight)

    def __call__(self, batch: Samples) -> Tensor:
        """Do one step on this process's part of a batch; return the loss of the whole batch."""
        if not self.on_gpu or self.processes.size > 1:
            return self.processes.mean(self._step(batch))
        length = batch.x.shape[1]
        if length not in self.captured:
            with fused_mixers(self.model):
                if self.eager[length] < EAGER_STEPS:
                    self.eager[length] += 1
                    return self._step_aside(batch)
                self.captured[length] = self._capture(batch)
        return self.captured[length](batch)

    def epoch(self) -> AbstractContextManager[None]:
        """Return what the steps of an epoch run in: uncaptured ones on GPUs have fused mixers."""
        captured = self.processes.size == 1
        return nullcontext() if captured or not self.on_gpu else fused_mixers(self.model)

    def _step(self, batch: Samples) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        count = self.config.accumulate
        parts = batch.split(len(batch) // count)
        losses = []
        for number, part in enumerate(parts, start=1):
            with self._exchange(last=number == count):
                loss = loss_of(self.parallel, part, self.config.label_smoothing) / count
                if self.penalty is not None:
                    loss = loss + self.penalty.take() / count
                loss.backward()
            losses.append(loss.detach())
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return torch.stack(losses).sum()

    def _exchange(self, last: bool) -> AbstractContextManager[None]:
        """Exchange gradients with the other processes for the last part of a batch only."""
        if last or not isinstance(self.parallel, DistributedDataParallel):
            return nullcontext()
        silent: AbstractContextManager[None] = self.parallel.no_sync()
        return silent

    def _step_aside(self, batch: Samples) -> Tensor:
        """Do a step on a side stream, which a later capture requires."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = self._step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return loss

    def _capture(self, batch: Samples) -> CapturedStep:
        batch = batch.map(Tensor.clone)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        others = next(iter(self.captured.values()), None)
        with torch.cuda.graph(graph, pool=None if others is None else others.graph.pool()):
            loss = self._step(batch)
        return CapturedStep(graph, batch, loss)
