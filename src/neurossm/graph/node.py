"""What every node of the float graph is: named, evaluated in float64, bounded, counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from neurossm.arrays import FloatArray
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

    def __post_init__(self) -> None:
        """Check the name and the number of inputs; subclasses add their fields."""
        check_name(self.name)
        object.__setattr__(self, "layer", self.layer or self.name)
        if len(self.inputs) != self.arity:
            raise InputError(
                f"{self.name}: {type(self).__name__} reads {self.arity} tensors, "
                f"not {len(self.inputs)}"
            )

    def channels(self, *sizes: int) -> int:
        """Return the number of output channels for inputs of these numbers of channels."""
        return sizes[0]

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

    @abstractmethod
    def work(self, channels: int) -> FloatWork:
        """Return the operations of one step for so many output channels."""

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
