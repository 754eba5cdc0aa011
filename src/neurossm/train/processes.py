"""Several GPUs and machines: the processes that ``torchrun`` starts, each with a share of a batch.

Gradients are averaged by DistributedDataParallel, BatchNorm's statistics by SyncBatchNorm. Every
process draws the whole batch and takes its part, so that the same batch gives the same step however
many processes share it (dropout apart, which each process draws for its own part).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurossm.errors import InputError
from neurossm.models.gsu import StaticThreshold

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Processes:
    """One process among those that train together.

    Attributes
    ----------
    rank, size
        Its number, and how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes files."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over the processes."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.size

    def total(self, count: int, device: torch.device) -> int:
        """Return the sum of a count over the processes."""
        if self.size == 1:
            return count
        value = torch.tensor(count, device=device)
        dist.all_reduce(value)
        return int(value)

    def from_first(self, value: _Value) -> _Value:
        """Return the value that the first process has."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        shared: _Value = box[0]
        return shared

    def wait(self) -> None:
        """Wait for the others: whoever leaves first would cut the connection to them."""
        if self.size > 1:
            dist.barrier()

    def synchronise(self, network: nn.Module) -> None:
        """Let the layers with statistics of a batch take them over all processes, in place.

        Raises
        ------
        InputError
            If there is BatchNorm on CPUs, for which PyTorch has no SyncBatchNorm.
        """
        if self.size == 1:
            return
        for module in network.modules():
            if isinstance(module, StaticThreshold):
                module.average = torch.compiler.disable(self.mean)  # an exchange cannot be fused
        if not any(isinstance(module, nn.BatchNorm1d) for module in network.modules()):
            return
        if not next(network.parameters()).is_cuda:
            raise InputError(
                f"{self.size} processes on CPUs: PyTorch's SyncBatchNorm needs GPUs; use one "
                "process, or --norm layer (and --gate-norm layer)"
            )
        nn.SyncBatchNorm.convert_sync_batchnorm(network)

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return the module to train through: it averages gradients over the processes."""
        return network if self.size == 1 else DistributedDataParallel(network)


def join(device: str | None = None) -> tuple[Processes, torch.device]:
    """Join the processes that ``torchrun`` started, if it did, and return the device to use.

    Parameters
    ----------
    device
        ``cuda``, ``cpu``, or another name; None: a GPU if there is one.

    Raises
    ------
    InputError
        If the device cannot be used.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    together = "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if together and device in (None, "cuda") and torch.cuda.is_available():
        device = f"cuda:{local}"
    chosen = make_device(device)
    if not together:
        return Processes(), chosen
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Processes(dist.get_rank(), dist.get_world_size()), chosen


def leave() -> None:
    """Leave the processes that were joined, if any."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


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
