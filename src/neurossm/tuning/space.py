"""The widths there are to choose: one per layer and kind of number, and the residual stream's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neurossm.compile.options import WIDTH_RANGES, Widths
from neurossm.compile.precision import layer_widths
from neurossm.errors import InputError
from neurossm.graph import Graph

STREAM = "stream"
"""What stands for a layer where a width belongs to all: the residual stream's."""
_PACKED = ("weight",)
"""Widths of which every bit counts in memory; other numbers take whole bytes."""


@dataclass(frozen=True, order=True)
class WidthGroup:
    """The numbers of one kind in one layer, which share a width."""

    layer: str
    width: str

    @property
    def lowest(self) -> int:
        """The smallest width allowed, in bits."""
        return WIDTH_RANGES[self.width][0]

    def rung(self, bits: int) -> int | None:
        """Return the next smaller width that can take fewer bytes; None at the end."""
        below = bits - 1 if self.width in _PACKED else (bits - 1) // 8 * 8
        return below if below >= self.lowest else None

    def __str__(self) -> str:
        """Return "blocks.0 weight"."""
        return f"{self.layer} {self.width}"


Choice = Mapping[WidthGroup, int]
"""Bits of every group."""


def all_groups(graph: Graph, only: Iterable[str] = ()) -> tuple[WidthGroup, ...]:
    """Return the groups of a network, all of them or those of some kinds of width.

    Raises
    ------
    InputError
        No such kind of width, or none of it in this network.
    """
    kinds = tuple(only)
    for kind in kinds:
        if kind not in WIDTH_RANGES:
            raise InputError(f"width {kind!r} is unknown; there are {', '.join(WIDTH_RANGES)}")
    found = [
        WidthGroup(layer, width) for layer, names in layer_widths(graph).items() for width in names
    ]
    found.append(WidthGroup(STREAM, "residual"))
    groups = tuple(group for group in found if not kinds or group.width in kinds)
    if not groups:
        raise InputError(f"the network has no widths of {', '.join(kinds)}")
    return groups


def starting_choice(groups: Iterable[WidthGroup], widths: Widths) -> dict[WidthGroup, int]:
    """Return the same widths for all layers."""
    return {group: getattr(widths, group.width) for group in groups}


def layers_of(choice: Choice, widths: Widths) -> dict[str, dict[str, int]]:
    """Return the widths of single layers: where a choice differs from the default widths."""
    layers: dict[str, dict[str, int]] = {}
    for group, bits in choice.items():
        if group.layer != STREAM and bits != getattr(widths, group.width):
            layers.setdefault(group.layer, {})[group.width] = bits
    return layers


def residual_of(choice: Choice, widths: Widths) -> int:
    """Return the width of the residual stream."""
    return choice.get(WidthGroup(STREAM, "residual"), widths.residual)
