"""How far messages travel between the cores of a placement."""

from __future__ import annotations

from math import ceil, sqrt

from neurossm.cost.count import UnitCounts
from neurossm.cost.counts import KEYS
from neurossm.place.placement import Core, Placement


def traffic(units: UnitCounts, placement: Placement, cores_per_chip: int) -> tuple[int, int]:
    """Return deliveries (messages times cores they go to) and the hops of all of them."""
    deliveries = hops = 0
    row = KEYS.index("messages")
    groups = {group.name: group for group in placement.groups}
    readers = [(group, source) for group in placement.groups for source in group.sources]
    for core in placement.cores:
        for unit in groups[core.group].sends:
            messages = units[unit][row]
            for reader, source in readers:
                if source.unit != unit:
                    continue
                for target in placement.cores_of(reader.name):
                    channels = core.channels if source.dense else _common(core, target)
                    sent = int(messages[channels].sum())
                    deliveries += sent
                    hops += sent * _distance(core, target, cores_per_chip)
    return deliveries, hops


def _common(a: Core, b: Core) -> slice:
    """Return the channels that both cores hold."""
    first = max(a.first, b.first)
    return slice(first, max(first, min(a.first + a.neurons, b.first + b.neurons)))


def _distance(a: Core, b: Core, cores_per_chip: int) -> int:
    """Return the tiles between two cores, chips side by side."""
    width = ceil(sqrt(cores_per_chip))
    across = (a.core % width + a.chip * width) - (b.core % width + b.chip * width)
    return abs(across) + abs(a.core // width - b.core // width)
