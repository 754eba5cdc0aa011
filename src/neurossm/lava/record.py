"""What all records of parameters share: shapes, and whether they hold integers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from neurossm.errors import InputError

__all__ = ["FloatingOnly", "require_integers", "spread"]


class FloatingOnly:
    """A record that no integers can stand for: floating_pt models only."""

    instead: str
    """What fixed_pt models take in its place."""


def spread(record: Any, shape: tuple[int, ...], *names: str) -> None:
    """Replace fields by contiguous int64 or float64 arrays of this shape; scalars are repeated.

    Raises
    ------
    InputError
        A field has another shape.
    """
    for name in names:
        given = np.asarray(getattr(record, name))
        dtype = np.int64 if given.dtype.kind in "iub" else np.float64
        try:
            array = np.array(np.broadcast_to(given, shape), dtype=dtype, order="C")
        except ValueError:
            raise InputError(f"{name}: shape {given.shape}, expected {shape}") from None
        object.__setattr__(record, name, array)


def require_integers(*records: Any) -> None:
    """Refuse floats, which fixed-point arithmetic would have to truncate; None is passed over.

    Raises
    ------
    InputError
        A field of a record holds something else than integers, or a record has no integer form.
    """
    for record in records:
        if record is None:
            continue
        kind = type(record).__name__
        if isinstance(record, FloatingOnly):
            raise InputError(f"{kind} has no fixed_pt form; use {record.instead}")
        for field in fields(record):
            value = np.asarray(getattr(record, field.name))
            if value.dtype.kind not in "iub":
                raise InputError(
                    f"{kind}.{field.name} holds {value.dtype} values; "
                    "the fixed_pt model needs integers"
                )
