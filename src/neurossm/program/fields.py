"""Fields and states that operations declare: their checks, and how an equation reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from neurossm.arrays import freeze
from neurossm.errors import InputError
from neurossm.program.arithmetic import EXACT_BITS, MAX_SHIFT
from neurossm.program.expression import Expression

if TYPE_CHECKING:
    from neurossm.program.operation import Op

Function = TypeVar("Function", bound=Callable[..., Any])


def cached(function: Function) -> Function:
    """Compute once for each argument; mypy takes types for unhashable otherwise."""
    cached: Any = lru_cache(maxsize=256)(function)
    return cast(Function, cached)


@dataclass(frozen=True)
class State:
    """A number that an operation keeps for every channel, or every mode of it.

    `axis` is "channel" or "mode", `bits` the name of the field that holds its width. It is 0 when
    a sample begins.
    """

    name: str
    axis: str
    bits: str


def _declared(axis: str, shift: bool) -> Any:
    return dataclasses.field(metadata={"axis": axis, "shift": shift})


def per_channel(*, shift: bool = False) -> Any:
    """Declare a field of one integer, or shift, per channel: (H)."""
    return _declared("channel", shift)


def per_mode(*, shift: bool = False) -> Any:
    """Declare a field of one integer, or shift, per channel and mode: (H, N)."""
    return _declared("mode", shift)


def per_entry() -> Any:
    """Declare a field of one integer per entry of a table: (S)."""
    return _declared("entry", False)


def scalar(*, shift: bool = False) -> Any:
    """Declare a field of one integer, or shift, that all channels share."""
    return _declared("shared", shift)


@cached
def declared(kind: type[Op]) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of an operation that are its parameters."""
    return tuple(field for field in dataclasses.fields(kind) if "axis" in field.metadata)


def freeze_declared(op: Op) -> None:
    """Check and freeze what an operation declares.

    Raises
    ------
    InputError
        Another shape, a number that is no integer, or one that is too large.
    """
    sizes: dict[str, tuple[int | None, ...]] = {}
    for field in declared(type(op)):
        axis, shift = field.metadata["axis"], field.metadata["shift"]
        if axis == "shared":
            _check_scalar(op, field.name, shift)
            continue
        shape = sizes.get(axis) or _shape(axis, op.out.channels)
        freeze(op, field.name, np.int64, shape)
        sizes[axis] = getattr(op, field.name).shape
        _within(op, field.name, MAX_SHIFT if shift else (1 << EXACT_BITS) - 1)


def _shape(axis: str, channels: int) -> tuple[int | None, ...]:
    return {"channel": (channels,), "mode": (channels, None), "entry": (None,)}[axis]


def _within(op: Op, field: str, limit: int) -> None:
    values = np.asarray(getattr(op, field))
    if values.min() < -limit or values.max() > limit:
        worst = values.max() if values.max() > limit else values.min()
        raise InputError(f"{op.name}.{field}: {worst} is outside [-{limit}, {limit}]")


def _check_scalar(op: Op, field: str, shift: bool) -> None:
    value = getattr(op, field)
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise InputError(f"{op.name}.{field}: {value!r}, must be an integer")
    object.__setattr__(op, field, int(value))
    limit = MAX_SHIFT if shift else (1 << EXACT_BITS) - 1
    if not -limit <= value <= limit:
        raise InputError(f"{op.name}.{field}: {value} is outside [-{limit}, {limit}]")


def freeze_integers(op: Op, field: str, shape: tuple[int | None, ...]) -> None:
    """Freeze a field of integers of another shape than those declared.

    Raises
    ------
    InputError
        Another shape, a number that is no integer, or 2**62 or more.
    """
    freeze(op, field, np.int64, shape)
    _within(op, field, (1 << EXACT_BITS) - 1)


class Symbols:
    """The fields and states of an operation, as an equation reads them."""

    def __init__(self, kind: type[Op]) -> None:
        self._axes = {field.name: field.metadata["axis"] for field in declared(kind)}
        self._axes.update(kind.derived)
        self._states = {state.name: state.axis for state in kind.states}

    def __getattr__(self, name: str) -> Expression:
        """Return a field."""
        if name not in self._axes:
            raise AttributeError(f"no field {name!r} is declared")
        leaf = Expression("field", axis=self._axes[name], name=name)
        self.__dict__[name] = leaf  # one expression for all its uses
        return leaf

    def state(self, name: str) -> Expression:
        """Return a state's value before the step."""
        return Expression("state", axis=self._states[name], name=name)
