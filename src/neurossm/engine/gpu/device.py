"""Find the device, or say what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from neurossm.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    import torch

CPU_MEMORY = 1 << 28
"""Bytes that tensors of a batch may take on a CPU, where the engine is for tests."""
GPU_SHARE = 0.5
"""Share of a GPU's free memory that they may take."""


def find_device(name: str) -> torch.device:
    """Return the device of this name, "cuda", "cuda:1" or "cpu".

    Raises
    ------
    InputError
        Another name.
    MissingDependencyError
        PyTorch is not installed, was built without CUDA, or sees no such GPU.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            f"device {name!r}: PyTorch is not installed ({error}); pip install torch"
        ) from None
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise InputError(f"device {name!r} is unknown; known: cpu, cuda")
    if kind == "cpu":
        return torch.device("cpu")
    way_out = "; it needs an NVIDIA GPU, its driver, and a CUDA build of PyTorch (pytorch.org/get-started), or use --device cpu"  # noqa: E501
    if torch.version.cuda is None:
        problem = f"PyTorch {torch.__version__} was built without CUDA"
        raise MissingDependencyError(f"device {name!r}: {problem}{way_out}")
    if not torch.cuda.is_available():
        problem = f"PyTorch {torch.__version__} (CUDA {torch.version.cuda}) finds no CUDA device"
        raise MissingDependencyError(f"device {name!r}: {problem}{way_out}")
    if int(number or 0) >= torch.cuda.device_count():
        raise MissingDependencyError(
            f"device {name!r}: there are {torch.cuda.device_count()} CUDA devices, from cuda:0"
        )
    return torch.device(name)


def free_memory(device: torch.device) -> int:
    """Return how many bytes the tensors of a batch may take."""
    if device.type == "cpu":
        return CPU_MEMORY
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return int(free * GPU_SHARE)


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep float32 matrix products from being rounded to TF32, which would not be exact."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_float32_matmul_precision(before)
