"""The counts: their names, and how they add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from neurossm.arrays import IntArray


@dataclass(frozen=True)
class Counts:
    """How often each kind of operation happened: exact integers.

    Parameters
    ----------
    Effective_ACs
        Weights added because a spike (-1 or 1) arrived and the weight was not zero.
    Effective_MACs
        Products of a weight and a graded value, neither zero, added up.
    Dense
        What both would be if nothing were zero.
    state_updates
        Updates of one complex mode.
    state_multiplies, state_adds
        Products and sums of the recurrences and their readout.
    elementwise_multiplies, elementwise_adds
        Products and sums of everything else: norms, biases, tables, thresholds, gates, residuals.
    spikes
        Binary and ternary spikes.
    messages, message_bits
        What neurons sent: spikes and graded values that are not zero, and their bits.
    unweighted_synops
        Graded values that arrived to be used as they are: the residual stream, LayerNorm's values.
    neuron_updates_active, neuron_updates_idle
        Steps of a neuron after which it sent something, or nothing.

    Notes
    -----
    The first three are NeuroBench's (2.3.0), by its rules: a connection is counted as ACs if all
    that it receives is in {-1, 0, 1}, as MACs otherwise; biases are left out. The others are what
    its hooks do not see.
    """

    Effective_ACs: int = 0
    Effective_MACs: int = 0
    Dense: int = 0
    state_updates: int = 0
    state_multiplies: int = 0
    state_adds: int = 0
    elementwise_multiplies: int = 0
    elementwise_adds: int = 0
    spikes: int = 0
    messages: int = 0
    message_bits: int = 0
    unweighted_synops: int = 0
    neuron_updates_active: int = 0
    neuron_updates_idle: int = 0

    @staticmethod
    def of(array: IntArray) -> Counts:
        """Sum an array (keys, channels) over its channels."""
        return Counts(*(int(total) for total in array.sum(axis=1)))

    @staticmethod
    def sum(parts: Iterable[Counts]) -> Counts:
        """Add up."""
        columns = zip(*(part.values() for part in parts), strict=True)
        return Counts(*(sum(column) for column in columns))

    def values(self) -> tuple[int, ...]:
        """Return the counts in the order of `KEYS`."""
        return tuple(getattr(self, key) for key in KEYS)

    def mean(self, samples: int) -> dict[str, float]:
        """Return the counts per sample."""
        return {key: value / samples for key, value in zip(KEYS, self.values(), strict=True)}

    @property
    def synaptic_operations(self) -> int:
        """ACs and MACs together."""
        return self.Effective_ACs + self.Effective_MACs

    @property
    def operations(self) -> int:
        """Synaptic operations, and the additions and multiplications of everything else."""
        return (
            self.synaptic_operations
            + self.state_multiplies
            + self.state_adds
            + self.elementwise_multiplies
            + self.elementwise_adds
        )


KEYS: tuple[str, ...] = tuple(field.name for field in fields(Counts))


class ChannelCounts:
    """Counts of one operation, channel by channel."""

    def __init__(self, channels: int) -> None:
        self.array: IntArray = np.zeros((len(KEYS), channels), np.int64)

    def add(self, **counts: IntArray | int) -> None:
        """Add to the counts of these names: one number for all channels, or one for each."""
        for key, value in counts.items():
            self.array[KEYS.index(key)] += value
