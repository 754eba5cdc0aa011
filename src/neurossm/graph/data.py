"""Check data against what a model declares of its input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neurossm.errors import InputError

_BATCH = 16


class InputSpec(Protocol):
    """What the check needs to know; float and integer inputs both have it."""

    @property
    def kind(self) -> str:
        """One of "uint8", "tokens", "float"."""

    @property
    def size(self) -> int:
        """Number of channels, or size of the vocabulary."""

    @property
    def low(self) -> float:
        """Smallest value of a float input."""

    @property
    def high(self) -> float:
        """Largest value of a float input."""


def check_data(
    spec: InputSpec, data: NDArray[np.generic], where: str = "data"
) -> NDArray[np.generic]:
    """Return data as (B, L, channels), or say what was expected.

    Parameters
    ----------
    spec
        The input's kind, size and range.
    data
        (B, L, size); (B, L) for tokens and for size 1.
    where
        What to call the data in messages.

    Raises
    ------
    InputError
        Wrong dtype, shape or range, no samples, no steps, NaN or infinite values.
    """
    channels = 1 if spec.kind == "tokens" else spec.size
    _check_type(spec, data, where)
    if data.ndim == 2 and channels == 1:
        data = data[:, :, None]
    if data.ndim != 3 or data.shape[2] != channels:
        shape = "(samples, steps)" if channels == 1 else f"(samples, steps, {channels})"
        raise InputError(f"{where}: x has shape {data.shape}, the model expects {shape}")
    if data.shape[0] == 0 or data.shape[1] == 0:
        raise InputError(f"{where}: x has shape {data.shape}: no samples or no steps")
    _check_values(spec, data, where)
    return data


def batches(
    spec: InputSpec, data: NDArray[np.generic], where: str
) -> Iterator[NDArray[np.generic]]:
    """Yield checked data a few samples at a time, so that all tensors of a batch fit memory."""
    checked = check_data(spec, data, where)
    for start in range(0, len(checked), _BATCH):
        yield checked[start : start + _BATCH]


def _check_type(spec: InputSpec, data: NDArray[np.generic], where: str) -> None:
    accepted = {
        "uint8": data.dtype == np.uint8,
        "tokens": data.dtype.kind in "iu",
        "float": data.dtype.kind == "f",
    }
    wanted = {
        "uint8": "uint8 (0 to 255; the model scales them itself)",
        "tokens": "integers (token numbers)",
        "float": f"floating-point numbers in [{spec.low:g}, {spec.high:g}]",
    }
    if not accepted[spec.kind]:
        raise InputError(
            f"{where}: x has dtype {data.dtype}, but the model's input is {spec.kind!r}: "
            f"expected {wanted[spec.kind]}"
        )


def _check_values(spec: InputSpec, data: NDArray[np.generic], where: str) -> None:
    if spec.kind == "uint8":
        return
    if spec.kind == "float" and not np.isfinite(data).all():
        raise InputError(f"{where}: x holds NaN or infinite values")
    smallest, largest = data.min(), data.max()
    low, high = (0.0, spec.size - 1) if spec.kind == "tokens" else (spec.low, spec.high)
    if smallest < low or largest > high:
        raise InputError(
            f"{where}: x reaches from {smallest:g} to {largest:g}, outside the declared range "
            f"[{low:g}, {high:g}]"
        )
