"""Checks of single values that users give, each with one message."""

from __future__ import annotations

from typing import TypeGuard, TypeVar

import numpy as np

from neurossm.errors import InputError

Kind = TypeVar("Kind")


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a real number, NumPy's among them, and no truth value."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def check_fraction(name: str, value: object, lowest: int = 0) -> None:
    """Refuse what is no number from `lowest` to 1."""
    if not is_number(value) or not lowest <= value <= 1:
        raise InputError(f"{name}: {value!r}, must be a fraction from {lowest} to 1")


def check_count(name: str, value: object, lowest: int = 1) -> None:
    """Refuse what is no integer of at least `lowest`."""
    right = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not right or value < lowest:  # type: ignore[operator]
        raise InputError(f"{name}: {value!r}, must be an integer of at least {lowest}")


def checked_type(name: str, value: object, kind: type[Kind]) -> Kind:
    """Return a value of this class; refuse any other."""
    if not isinstance(value, kind):
        raise InputError(f"{name}: expected a {kind.__name__}, got {value!r}")
    return value


def generator(seed: object) -> np.random.Generator:
    """Return random numbers of a seed, which must be an integer of at least 0."""
    check_count("seed", seed, lowest=0)
    return np.random.default_rng(int(seed))  # type: ignore[call-overload]
