"""What every node of the float graph has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from neurossm.errors import InputError
from neurossm.naming import check_name


@dataclass(frozen=True, eq=False)
class Node:
    """A unique name and the names of the nodes it reads.

    `layer` names the part of the network it belongs to, such as a block; by default it is a layer
    of its own.
    """

    name: str
    inputs: tuple[str, ...]
    layer: str = field(default="", kw_only=True)
    arity: ClassVar[int] = 1

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

    def expect(self, got: int, wanted: int) -> None:
        """Refuse an input of other than the wanted number of channels."""
        if got != wanted:
            raise InputError(
                f"{self.name}: reads {got} channels from {', '.join(self.inputs)}, "
                f"expected {wanted}"
            )
