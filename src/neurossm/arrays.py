"""Array types and the checks that every frozen record of arrays makes."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.errors import InputError

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def as_array(value: object, what: str) -> NDArray[Any]:
    """Return what a user gave as numbers: an array, a tensor of any device, or nested lists.

    PyTorch is not imported: where there is a tensor, it already was.

    Parameters
    ----------
    value
        What was given.
    what
        What to call it in messages.

    Raises
    ------
    InputError
        It is nothing of these, or its rows differ in length.
    """
    if isinstance(value, np.ndarray):
        return value
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _of_tensor(value, what)
    if isinstance(value, list | tuple) and any(hasattr(item, "detach") for item in value):
        value = [as_array(item, what) for item in value]
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{what}: {_described(value)} is no array of numbers: {reason}") from error
    if array.dtype.kind not in "biufc":
        raise InputError(
            f"{what}: expected an array, a tensor or nested lists of numbers, got "
            f"{_described(value)}"
        )
    return array


def _of_tensor(tensor: Any, what: str) -> NDArray[Any]:
    """Return a tensor's values; of a type that NumPy lacks (bfloat16), as float32."""
    tensor = tensor.detach().cpu()
    try:
        try:
            array: NDArray[Any] = tensor.resolve_conj().resolve_neg().numpy()
        except TypeError:
            array = tensor.float().numpy()
    except (TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{what}: a tensor of {tensor.dtype} and {tensor.layout} is no array of numbers "
            f"({reason}); convert it first"
        ) from error
    return array


def _described(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def as_names(value: object, what: str) -> tuple[str, ...]:
    """Return what a user gave as names, one or several, without repetition.

    Raises
    ------
    InputError
        It is neither text nor texts.
    """
    names = (value,) if isinstance(value, str) else value
    if isinstance(names, Iterable):
        found = tuple(dict.fromkeys(names))
        if all(isinstance(name, str) for name in found):
            return found
    raise InputError(f"{what}: expected a name or a list of names, got {value!r}")


def freeze(record: Any, name: str, dtype: Any, shape: tuple[int | None, ...]) -> None:
    """Replace an array field of a frozen dataclass by a read-only copy of the right type.

    `None` in `shape` admits any positive length.

    Raises
    ------
    InputError
        The shape differs, a value is not a number, is NaN or infinite, or the conversion would
        lose something: an imaginary part, a fraction, bits of an integer.
    """
    where = f"{record.name}.{name}" if hasattr(record, "name") else name
    given = np.asarray(getattr(record, name))
    fits = given.ndim == len(shape) and all(
        size > 0 and wanted in (None, size) for size, wanted in zip(given.shape, shape, strict=True)
    )
    if not fits:
        wanted_shape = "x".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{where}: shape {given.shape}, expected {wanted_shape}")
    if given.dtype.kind not in "biufc" or (
        given.dtype.kind == "c" and not np.issubdtype(dtype, np.complexfloating)
    ):
        raise InputError(f"{where}: holds {given.dtype} values, expected {np.dtype(dtype)}")
    if given.dtype.kind in "fc" and not np.isfinite(given).all():
        raise InputError(f"{where}: holds NaN or infinite values")
    with np.errstate(invalid="ignore"):  # integers out of range are found by the comparison
        array = np.array(given, dtype=dtype, order="C")
    if np.issubdtype(dtype, np.integer) and not _same_integers(array, given):
        raise InputError(f"{where}: holds values that are not integers of 64 bits")
    array.setflags(write=False)
    object.__setattr__(record, name, array)


def _same_integers(array: IntArray, given: NDArray[Any]) -> bool:
    """Tell whether nothing was lost; equality alone is fooled where int64 and float64 meet."""
    if given.dtype.kind == "f":
        return bool((np.abs(given) < 2.0**63).all() and (array == given).all())
    return bool((array.astype(given.dtype) == given).all() and ((array < 0) == (given < 0)).all())


def same(first: Any, second: Any) -> bool:
    """Tell whether two records are of one type and equal field by field, arrays bit for bit."""
    if dataclasses.is_dataclass(first):
        return type(first) is type(second) and all(
            same(getattr(first, field.name), getattr(second, field.name))
            for field in dataclasses.fields(first)
        )
    if isinstance(first, np.ndarray):
        if not isinstance(second, np.ndarray):
            return False
        alike = (first.dtype, first.shape) == (second.dtype, second.shape)
        return alike and first.tobytes() == second.tobytes()
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)
