"""What every node of the float graph is: named, evaluated in float64, bounded, counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, ClassVar, Literal, TypeAlias, get_args, get_type_hints

import numpy as np

from neurossm.arrays import FloatArray, freeze
from neurossm.errors import InputError, UnsupportedError
from neurossm.graph.range import Range
from neurossm.naming import check_name


@dataclass(frozen=True)
class FloatWork:
    """Operations of a node in one step, in floats, every product made.

    Parameters
    ----------
    linear, state, elementwise
        Multiply-accumulates of weights, of recurrences and their readout, and of everything else.
    functions
        Evaluations of a function such as the sigmoid.
    """

    linear: int = 0
    state: int = 0
    elementwise: int = 0
    functions: int = 0

    def times(self, count: int) -> FloatWork:
        """Return the work of so many channels of this kind."""
        return FloatWork(**{kind: number * count for kind, number in vars(self).items()})


PerChannel: TypeAlias = Annotated[FloatArray, "channel"]
"""Type of a field of one number per channel: (H)."""


@cache
def _per_channel(kind: type[Node]) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        f.name for f in fields(kind) if PerChannel in (hints[f.name], *get_args(hints[f.name]))
    )


@dataclass(frozen=True, eq=False)
class Node(ABC):
    """A unique name and the names of the nodes it reads, and all that is known of the function.

    `layer` names the part of the network it belongs to, such as a block; by default it is a layer
    of its own.
    """

    name: str
    inputs: tuple[str, ...]
    layer: str = field(default="", kw_only=True)
    arity: ClassVar[int] = 1
    time: ClassVar[Literal["any", "needed", "ended"]] = "any"
    """Whether the input needs time steps, and whether they end here."""
    emits: ClassVar[str] = "graded"
    """What its output is: "graded" values or "spikes"."""
    limited: ClassVar[bool] = False
    """True where the range follows from the function or is declared: data say nothing more."""
    work_per_channel: ClassVar[FloatWork | None] = None
    """Operations of one channel in one step, where `work` does not say otherwise."""

    def __post_init__(self) -> None:
        """Check the name, the number of inputs and the fields per channel; subclasses theirs."""
        check_name(self.name)
        object.__setattr__(self, "layer", self.layer or self.name)
        if len(self.inputs) != self.arity:
            raise InputError(
                f"{self.name}: {type(self).__name__} reads {self.arity} tensors, "
                f"not {len(self.inputs)}"
            )
        size: int | None = None
        for name in self._per_channel():
            freeze(self, name, np.float64, (size,))
            size = getattr(self, name).size

    def _per_channel(self) -> list[str]:
        """Return the fields that hold a number per channel."""
        return [name for name in _per_channel(type(self)) if getattr(self, name) is not None]

    def channels(self, *sizes: int) -> int:
        """Return the number of output channels for inputs of these numbers of channels.

        Here, of a node that works channel by channel: all inputs and fields have as many.
        """
        own = self._per_channel()
        wanted = getattr(self, own[0]).size if own else sizes[0]
        for size in sizes:
            self.expect(size, wanted)
        return int(wanted)

    @abstractmethod
    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute the output (B, L, channels) from the inputs."""

    def initial_states(self) -> dict[str, FloatArray]:
        """Return what is kept from step to step of one sample, as it is before the first."""
        return {}

    def step(self, states: Mapping[str, FloatArray], *inputs: FloatArray) -> FloatArray:
        """Compute one step of one sample, (C) from (C), and change the states in place.

        Raises
        ------
        UnsupportedError
            The node computes whole sequences only.
        """
        if self.time != "any":
            raise UnsupportedError(f"{self.name}: {type(self).__name__} cannot run step by step")
        return self.apply(*inputs)

    @abstractmethod
    def bound(self, *inputs: Range) -> Range:
        """Return what the output can be, given what the inputs can be, for any number of steps."""

    def work(self, channels: int) -> FloatWork:
        """Return the operations of one step for so many output channels."""
        each = self.work_per_channel
        assert each is not None, f"{type(self).__name__} does not say its work"
        return each.times(channels)

    def margin(self, *inputs: FloatArray) -> FloatArray:
        """Return how far what a spiking node compares is from its threshold, (B, L, channels).

        Raises
        ------
        UnsupportedError
            It compares nothing.
        """
        raise UnsupportedError(f"{self.name}: a {type(self).__name__} has no threshold")

    def expect(self, got: int, wanted: int) -> None:
        """Refuse an input of other than the wanted number of channels."""
        if got != wanted:
            raise InputError(
                f"{self.name}: reads {got} channels from {', '.join(self.inputs)}, "
                f"expected {wanted}"
            )


class Monotone(Node):
    """A node that is monotone in its one input, channel by channel."""

    def bound(self, *inputs: Range) -> Range:
        """Take the ends."""
        (x,) = inputs
        return Range.between(self.apply(x.low), self.apply(x.high))
