"""The common form in which integer programs and float graphs reach the network builder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from neurossm.lava.parameters import (
    Decoder,
    DynamicTernary,
    Function,
    Modes,
    Norm,
    Product,
    Sum,
    Ternary,
)

__all__ = ["Primitive", "Primitives", "Rows", "Source", "Threshold", "Unit", "Weights"]


@dataclass(frozen=True)
class Source:
    """The data, sent in messages of so many `bits`."""

    bits: int


@dataclass(frozen=True, eq=False)
class Weights:
    """Matrix product with `weight` (O, I); `message_bits` 0 stands for binary spikes.

    Ternary spikes take 2 bits: with 0, Lava casts what it receives to bool and -1 to 1.
    """

    weight: NDArray[Any]
    message_bits: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Selection of one row of `weight` (V, H) by a token."""

    weight: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Threshold:
    """Binary spikes where the input exceeds `threshold` (H)."""

    threshold: NDArray[Any]


Unit: TypeAlias = (
    Source
    | Weights
    | Rows
    | Norm
    | Modes
    | Threshold
    | Ternary
    | DynamicTernary
    | Function
    | Product
    | Sum
    | Decoder
)


@dataclass(frozen=True, eq=False)
class Primitive:
    """One step of the computation: reads the tensors `inputs`, makes the tensor `name`.

    `bits` is the width of its integers, `channels` their number.
    """

    name: str
    inputs: tuple[str, ...]
    unit: Unit
    channels: int
    bits: int = 32


class Primitives:
    """A network of primitives, in an order in which each comes after what it reads."""

    def __init__(self, items: list[Primitive]) -> None:
        self.items = tuple(items)
        self._by_name = {item.name: item for item in items}

    def __getitem__(self, name: str) -> Primitive:
        """Return the primitive that makes a tensor."""
        return self._by_name[name]

    def readers(self, name: str) -> list[Primitive]:
        """Return the primitives that read a tensor."""
        return [item for item in self.items if name in item.inputs]

    def sole_reader(self, name: str, *kinds: type) -> Primitive | None:
        """Return the only primitive that reads a tensor, if it is of one of these kinds."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and isinstance(readers[0].unit, kinds) else None

    def maker(self, name: str, *kinds: type) -> Primitive | None:
        """Return the primitive that makes a tensor, if it is of one of these kinds."""
        item = self._by_name.get(name)
        return item if item is not None and isinstance(item.unit, kinds) else None
