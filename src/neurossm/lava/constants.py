"""The numbers of an operation or a node, field by field, as Lava's variables hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from neurossm.lava.stepping import Array

Record = TypeVar("Record")
_NOT_NUMBERS = ("name", "inputs", "layer", "out")


def constants_of(member: Any) -> dict[str, Array]:
    """Return every field of numbers; a single number as an array of one.

    A complex field `A` becomes `A_re` and `A_im`, since Lava's variables are real.
    """
    found: dict[str, Array] = {}
    for field, value in _numbers(member).items():
        if np.iscomplexobj(value):
            found |= {f"{field}_re": value.real, f"{field}_im": value.imag}
        else:
            found[field] = np.atleast_1d(value)
    return found


def with_constants(member: Record, values: Mapping[str, Array]) -> Record:
    """Return a member with other numbers; InputError where they are none that it can have."""
    changed: dict[str, Any] = {}
    for field, value in _numbers(member).items():
        if np.iscomplexobj(value):
            changed[field] = values[f"{field}_re"] + 1j * values[f"{field}_im"]
        elif np.ndim(value):
            changed[field] = values[field]
        else:
            changed[field] = type(value)(values[field][0])
    return replace(member, **changed)  # type: ignore[type-var]


def _numbers(member: Any) -> dict[str, Any]:
    values = {f.name: getattr(member, f.name) for f in fields(member) if f.init}
    return {
        name: value
        for name, value in values.items()
        if name not in _NOT_NUMBERS and isinstance(value, int | float | np.ndarray | np.number)
    }
