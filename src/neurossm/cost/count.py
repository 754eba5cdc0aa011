"""From activity to counts: channel by channel, for every operation of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from neurossm.arrays import IntArray
from neurossm.cost.activity import Activity
from neurossm.cost.counts import ChannelCounts, Counts
from neurossm.naming import SEPARATOR
from neurossm.place.bytes import readout_sum_bits
from neurossm.place.groups import STATISTICS, STATISTICS_NUMBERS, SUM, NeuronGroup
from neurossm.place.neurons import sent_tensors
from neurossm.place.placement import message_bits
from neurossm.program import (
    Dense,
    Embedding,
    Input,
    LayerNorm,
    Op,
    Program,
    Readout,
    Spike,
    Ternary,
)
from neurossm.program.work import Work

UnitCounts = Mapping[str, IntArray]
"""Counts (keys, channels) of every operation; `NAME.sum` is a readout's sum over time,
`NAME.statistics` what a LayerNorm does once per step."""

DECODE_PRODUCTS = 2
DECODE_SUMS = 2
"""Of one class at the end of a sample: `bias n` and the division; the bias and the half."""
STATISTICS_BITS = 32
"""Width of the two messages of a LayerNorm's statistics."""


def count(
    program: Program, groups: Sequence[NeuronGroup], activity: Activity, bits_per_message: int
) -> UnitCounts:
    """Count every operation of every channel over all samples and steps.

    Parameters
    ----------
    program, groups
        The program and its neuron groups.
    activity
        What it did.
    bits_per_message
        The widest message the target can send; a readout's sum may take several.
    """
    counter = _Counter(program, activity, bits_per_message)
    for op in program.ops:
        count_op(op, counter)
    counter.messages()
    counter.arrivals(groups)
    counter.updates(groups)
    return {name: counts.array for name, counts in counter.units.items()}


def by_layer(units: UnitCounts) -> dict[str, Counts]:
    """Add up the operations of each layer: the encoder, each block, a final norm, the decoder."""
    layers: dict[str, list[Counts]] = {}
    for name, array in units.items():
        parts = name.partition(SEPARATOR)[0].split(".")
        layer = ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]
        layers.setdefault(layer, []).append(Counts.of(array))
    return {layer: Counts.sum(parts) for layer, parts in layers.items()}


def by_channels(units: UnitCounts, group: NeuronGroup, channels: slice) -> Counts:
    """Add up what some neurons of a group did."""
    return Counts.sum(Counts.of(units[name][:, channels]) for name in group.ops)


class _Counter:
    """Collects counts by operation."""

    def __init__(self, program: Program, activity: Activity, bits_per_message: int) -> None:
        self.program, self.activity = program, activity
        self.bits_per_message = bits_per_message
        self.ticks = activity.samples * activity.steps  # steps of all samples
        self.units: dict[str, ChannelCounts] = {}

    def unit(self, name: str, channels: int) -> ChannelCounts:
        """Return the counts of an operation or a part of one, made on first use."""
        return self.units.setdefault(name, ChannelCounts(channels))

    def work(self, unit: ChannelCounts, per_step: Work) -> None:
        """Add work that is the same in every step."""
        unit.add(**{key: value * self.ticks for key, value in vars(per_step).items()})

    def synapses(self, unit: ChannelCounts, op: Op, effective: IntArray, dense: int) -> None:
        """Add effective operations as ACs where only spikes arrive, as MACs otherwise."""
        source = self.program[op.inputs[0]]
        key = "Effective_ACs" if isinstance(source, (Spike, Ternary)) else "Effective_MACs"
        counts: dict[str, IntArray | int] = {key: effective, "Dense": dense}
        unit.add(**counts)

    def messages(self) -> None:
        """Add what neurons send every step; see `Readout` for what they send once."""
        for name in sent_tensors(self.program) - {self.program.input.name}:
            sent = self.activity.nonzero[name]
            bits = message_bits(self.program, name)
            self.units[name].add(messages=sent, message_bits=sent * bits)
            if isinstance(self.program[name], (Spike, Ternary)):
                self.units[name].add(spikes=sent)

    def arrivals(self, groups: Sequence[NeuronGroup]) -> None:
        """Add graded values that arrive without a weight."""
        for group in groups:
            for source in group.sources:
                unit = self.units[group.ops[-1]]
                if source.tensor.endswith(STATISTICS):
                    unit.add(unweighted_synops=STATISTICS_NUMBERS * self.ticks)
                elif not source.dense:
                    unit.add(unweighted_synops=self.activity.nonzero[source.tensor])
                elif group.name.endswith(STATISTICS):
                    unit.add(unweighted_synops=self.activity.nonzero[source.tensor].sum())

    def updates(self, groups: Sequence[NeuronGroup]) -> None:
        """Add steps of neurons, told apart by what the last tensor they send did."""
        for group in groups:
            unit, readout = self.units[group.ops[-1]], self.program.readout.name
            if group.name == readout:  # works once, at the end of a sample
                active: IntArray | int = self.activity.samples
                updates = self.activity.samples
            else:
                updates = self.ticks
                active = self._active(group)
            unit.add(neuron_updates_active=active, neuron_updates_idle=updates - active)

    def _active(self, group: NeuronGroup) -> IntArray | int:
        if group.name.endswith(STATISTICS):
            return self.ticks
        if group.name == self.program.readout.name + SUM:
            return self.activity.nonzero_sums
        return self.activity.nonzero[group.sends[-1]] if group.sends else 0


@singledispatch
def count_op(op: Op, to: _Counter) -> None:
    """Add the operation's own work."""
    to.work(to.unit(op.name, op.out.channels), op.work())


@count_op.register
def _(op: Input, to: _Counter) -> None:
    """Nothing: the data come from outside."""


@count_op.register
def _(op: Dense, to: _Counter) -> None:
    nonzero = to.activity.nonzero[op.inputs[0]]  # (I)
    effective = (op.weight != 0).astype(np.int64) @ nonzero  # (O)
    dense = op.weight.shape[1] * to.ticks
    to.synapses(to.unit(op.name, op.out.channels), op, effective, dense)


@count_op.register
def _(op: Embedding, to: _Counter) -> None:
    """One spike adds one row of weights; NeuroBench does not see embeddings."""
    assert to.activity.tokens is not None
    effective = to.activity.tokens @ (op.weight != 0).astype(np.int64)  # (H)
    to.unit(op.name, op.out.channels).add(Effective_ACs=effective, Dense=to.ticks)


@count_op.register
def _(op: LayerNorm, to: _Counter) -> None:
    to.work(to.unit(op.name, op.out.channels), op.work())
    statistics = to.unit(op.name + STATISTICS, 1)
    to.work(statistics, op.work_per_step())
    messages = STATISTICS_NUMBERS * to.ticks
    statistics.add(messages=messages, message_bits=messages * STATISTICS_BITS)


@count_op.register
def _(op: Readout, to: _Counter) -> None:
    """A sum per channel and step, sent once per sample and decoded there."""
    samples, nonzero = to.activity.samples, to.activity.nonzero_sums
    bits = readout_sum_bits(to.program)
    total = to.unit(op.name + SUM, nonzero.size)
    total.add(
        elementwise_adds=to.ticks,
        messages=nonzero * -(-bits // to.bits_per_message),
        message_bits=nonzero * bits,
    )
    effective = (op.weight != 0).astype(np.int64) @ nonzero
    to.unit(op.name, op.out.channels).add(
        Effective_MACs=effective,
        Dense=op.weight.shape[1] * samples,
        elementwise_multiplies=DECODE_PRODUCTS * samples,
        elementwise_adds=DECODE_SUMS * samples,
    )
