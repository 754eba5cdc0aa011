"""Check data against what a model declares of its input."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import IntArray, as_array
from neurossm.errors import InputError
from neurossm.graph.sequences import Sequences


class DeclaredInput(Protocol):
    """What the check needs to know; float and integer inputs both have it."""

    @property
    def kind(self) -> str:
        """One of "uint8", "tokens", "float", "counts"."""

    @property
    def size(self) -> int:
        """Number of channels, or size of the vocabulary."""

    @property
    def low(self) -> float:
        """Smallest value of a float input, or of counts."""

    @property
    def high(self) -> float:
        """Largest value of a float input, or of counts."""


def check_data(spec: DeclaredInput, data: ArrayLike, where: str = "data") -> NDArray[np.generic]:
    """Return data as (B, L, channels), or say what was expected.

    Parameters
    ----------
    spec
        The input's kind, size and range.
    data
        (B, L, size); (B, L) for tokens and for size 1: an array, a PyTorch tensor, or nested lists,
        whose numbers have no type and take the one that the input wants, if it can hold them.
    where
        What to call the data in messages.

    Raises
    ------
    InputError
        Wrong dtype, shape or range, no samples, no steps, NaN or infinite values.
    """
    x = _shaped(spec, data, where)
    _check_values(spec, x, where)
    return x


def check_sequences(
    spec: DeclaredInput, data: ArrayLike, lengths: ArrayLike | None, where: str = "data"
) -> Sequences:
    """Return data, as `check_data`, with the lengths of samples that end early.

    What stands after a sample's end is never looked at: it need not be in the declared range.

    Parameters
    ----------
    lengths
        (B) integers, 1 to L; None where all samples have L steps.

    Raises
    ------
    InputError
        As `check_data` and `check_lengths`.
    """
    x = _shaped(spec, data, where)
    valid = None if lengths is None else check_lengths(lengths, x.shape[0], x.shape[1], where)
    if valid is not None:
        ended = np.arange(x.shape[1]) >= valid[:, None]  # (B, L)
        x = np.where(ended[:, :, None], x[:, :1], x)
    _check_values(spec, x, where)
    return Sequences(x, valid)


def check_lengths(
    lengths: ArrayLike, samples: int, steps: int, where: str = "data"
) -> IntArray | None:
    """Return valid steps of each sample (samples) int64, or None where all have all steps.

    Raises
    ------
    InputError
        They are no integers, not one per sample, below 1 or beyond the samples' end.
    """
    found = as_array(lengths, f"{where}: lengths")
    if found.shape != (samples,) or found.dtype.kind not in "iu":
        raise InputError(
            f"{where}: lengths have shape {found.shape} and dtype {found.dtype}; expected "
            f"({samples},) integers, the valid steps of each sample"
        )
    wrong = np.flatnonzero((found < 1) | (found > steps))
    if wrong.size:
        raise InputError(
            f"{where}: lengths[{wrong[0]}] is {found[wrong[0]]}; x has {steps} steps, of which 1 "
            f"to {steps} can be valid"
        )
    return None if (found == steps).all() else found.astype(np.int64)


def _shaped(spec: DeclaredInput, data: ArrayLike, where: str) -> NDArray[np.generic]:
    """Return data as (B, L, channels) of a type that suits."""
    channels = 1 if spec.kind == "tokens" else spec.size
    data = as_data(spec, data, where)
    _check_type(spec, data, where)
    if data.ndim == 2 and channels == 1:
        data = data[:, :, None]
    if data.ndim != 3 or data.shape[2] != channels:
        shape = "(samples, steps)" if channels == 1 else f"(samples, steps, {channels})"
        raise InputError(f"{where}: x has shape {data.shape}, the model expects {shape}")
    if data.shape[0] == 0 or data.shape[1] == 0:
        raise InputError(f"{where}: x has shape {data.shape}: no samples or no steps")
    return data


def check_labels(labels: ArrayLike, samples: int, classes: int | None, where: str = "") -> IntArray:
    """Return labels as (samples,) int64, or say what was expected.

    Parameters
    ----------
    labels
        (samples,) class numbers: an array, a PyTorch tensor or a list.
    samples, classes
        How many there are; None where the classes are not known.
    where
        A file's name, for messages.

    Raises
    ------
    InputError
        They are no integers, not one per sample, or no classes of the model.
    """
    prefix = f"{where}: " if where else ""
    found = as_array(labels, f"{prefix}labels y")
    if found.shape != (samples,) or found.dtype.kind not in "iu":
        raise InputError(
            f"{prefix}labels y have shape {found.shape} and dtype {found.dtype}; "
            f"expected ({samples},) integers, one per sample"
        )
    most = np.iinfo(np.int64).max if classes is None else classes - 1
    if samples and (found.max() > most or (classes is not None and found.min() < 0)):
        known = "integers of 64 bits" if classes is None else f"classes 0 to {most}"
        raise InputError(
            f"{prefix}labels reach from {found.min()} to {found.max()}; the model has {known}"
        )
    return found.astype(np.int64)


def check_step_labels(
    labels: ArrayLike, samples: Sequences, classes: int, where: str = ""
) -> IntArray:
    """Return labels of every step as (samples, steps) int64, 0 after a sample's end.

    Raises
    ------
    InputError
        They are no integers, not one per step, or no classes of the model.
    """
    prefix = f"{where}: " if where else ""
    found = as_array(labels, f"{prefix}labels y")
    if found.shape != samples.x.shape[:2] or found.dtype.kind not in "iu":
        raise InputError(
            f"{prefix}labels y have shape {found.shape} and dtype {found.dtype}; the model answers "
            f"at every step: expected {samples.x.shape[:2]} integers, one per step"
        )
    valid = samples.joined(found)
    check_labels(valid, len(valid), classes, where)
    return samples.apart(valid.astype(np.int64))


def as_data(spec: DeclaredInput, given: ArrayLike, where: str = "data") -> NDArray[Any]:
    """Return data as an array of any shape; numbers of lists in the type that the input wants."""
    data = as_array(given, where)
    if not isinstance(given, int | float | list | tuple):
        return data
    if spec.kind == "float" and data.dtype.kind in "iu":
        return data.astype(np.float64)
    fits = data.size == 0 or (data.dtype.kind in "iu" and data.min() >= 0 and data.max() <= 255)
    return data.astype(np.uint8) if spec.kind == "uint8" and fits else data


def _check_type(spec: DeclaredInput, data: NDArray[np.generic], where: str) -> None:
    accepted = {
        "uint8": data.dtype == np.uint8,
        "tokens": data.dtype.kind in "iu",
        "float": data.dtype.kind == "f" and data.dtype.itemsize <= 8,  # wider ones would be rounded
        "counts": data.dtype.kind in "iu",
    }
    wanted = {
        "uint8": "uint8 (0 to 255; the model scales them itself)",
        "tokens": "integers (token numbers)",
        "counts": f"integers (counts of at most {spec.high:g})",
        "float": f"floating-point numbers of at most 64 bits in [{spec.low:g}, {spec.high:g}]",
    }
    if not accepted[spec.kind]:
        raise InputError(
            f"{where}: x has dtype {data.dtype}, but the model's input is {spec.kind!r}: "
            f"expected {wanted[spec.kind]}"
        )


def _check_values(spec: DeclaredInput, data: NDArray[np.generic], where: str) -> None:
    if spec.kind == "uint8":
        return
    if spec.kind == "float" and not np.isfinite(data).all():
        raise InputError(f"{where}: x holds NaN or infinite values")
    # As Python's numbers: NumPy 2 would round the ends of the range to the type of the data.
    smallest, largest = data.min().item(), data.max().item()
    low, high = (0.0, spec.size - 1) if spec.kind == "tokens" else (spec.low, spec.high)
    if smallest < low or largest > high:
        raise InputError(
            f"{where}: x reaches from {smallest:g} to {largest:g}, outside the declared range "
            f"[{low:g}, {high:g}]"
        )
