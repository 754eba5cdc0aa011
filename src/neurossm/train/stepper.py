"""One training step; on a single GPU captured as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurossm.models.network import Network
from neurossm.train.config import TrainConfig
from neurossm.train.objective import loss_of
from neurossm.train.processes import Processes
from neurossm.train.tasks import Samples

EAGER_STEPS = 3


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
    """Runs training steps; on one GPU the steps after the first few replay one CUDA graph.

    Several processes run every step eagerly: their exchange is not captured.

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
        self.graph: torch.cuda.CUDAGraph | None = None
        self.steps = 0
        self.batch: Samples | None = None
        self.loss = torch.empty(0)

    def __call__(self, batch: Samples) -> Tensor:
        """Do one step on this process's part of a batch; return the loss of the whole batch."""
        self.steps += 1
        if not self.on_gpu or self.processes.size > 1:
            return self.processes.mean(self._step(batch))
        if self.graph is None:
            with fused_mixers(self.model):
                if self.steps <= EAGER_STEPS:
                    return self._step_aside(batch)
                self.graph = self._capture(batch)
        assert self.batch is not None
        self.batch.copy_(batch)
        self.graph.replay()
        return self.loss

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

    def _capture(self, batch: Samples) -> torch.cuda.CUDAGraph:
        self.batch = batch.map(Tensor.clone)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.loss = self._step(self.batch)
        return graph
