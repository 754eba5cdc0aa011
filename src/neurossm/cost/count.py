"""From activity to counts: channel by channel, for every operation of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neurossm.arrays import IntArray
from neurossm.cost.activity import Activity
from neurossm.cost.counts import ChannelCounts, Counts
from neurossm.place.bytes import readout_sum_bits
from neurossm.place.groups import NeuronGroup, OpPart, synops
from neurossm.place.neurons import sent_tensors
from neurossm.program import Op, Program
from neurossm.program.work import Work

UnitCounts = Mapping[OpPart, IntArray]
"""Counts (keys, channels) of every operation, and of parts that have neurons of their own."""

DECODE_PRODUCTS = 2
DECODE_SUMS = 2
"""Of one class at the end of a sample: `bias n` and the division; the bias and the half."""
STATISTICS_BITS = 32
"""Width of the messages of statistics."""


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
    for op in program.ops[1:]:  # the data come from outside
        counter.operation(op)
    counter.messages()
    counter.arrivals(groups)
    counter.updates(groups)
    return {unit: counts.array for unit, counts in counter.units.items()}


def by_layer(units: UnitCounts, program: Program) -> dict[str, Counts]:
    """Add up the operations of each layer: the encoder, each block, a final norm, the decoder."""
    layers: dict[str, list[Counts]] = {}
    for unit, array in units.items():
        layers.setdefault(program[unit.op].layer, []).append(Counts.of(array))
    return {layer: Counts.sum(parts) for layer, parts in layers.items()}


def by_channels(units: UnitCounts, group: NeuronGroup, channels: slice) -> Counts:
    """Add up what some neurons of a group did."""
    return Counts.sum(Counts.of(units[unit][:, channels]) for unit in group.units)


class _Counter:
    """Collects counts by unit."""

    def __init__(self, program: Program, activity: Activity, bits_per_message: int) -> None:
        self.program, self.activity = program, activity
        self.bits_per_message = bits_per_message
        self.ticks = activity.total_steps
        self.units: dict[OpPart, ChannelCounts] = {}

    def unit(self, unit: OpPart, channels: int) -> ChannelCounts:
        """Return the counts of an operation or a part of one, made on first use."""
        return self.units.setdefault(unit, ChannelCounts(channels))

    def operation(self, op: Op) -> None:
        """Add an operation's own work."""
        unit = self.unit(OpPart(op.name), op.out.channels)
        if op is self.program.readout:
            self.readout(unit)
        elif op.sums:
            self.synapses(unit, op)
        else:
            unit.add(**{key: value * self.ticks for key, value in op.work_by_channel().items()})
        if op.statistics:
            self.statistics(op)

    def work(self, unit: ChannelCounts, per_step: Work) -> None:
        """Add work that is the same in every step."""
        unit.add(**{key: value * self.ticks for key, value in vars(per_step).items()})

    def synapses(self, unit: ChannelCounts, op: Op) -> None:
        """Add effective operations as ACs where only spikes arrive, as MACs otherwise.

        A token is one spike that adds one row of weights.
        """
        kind = self.program[op.inputs[0]].emits
        arrived = self.activity.nonzero[op.inputs[0]]  # (I)
        if kind == "token":
            assert self.activity.tokens is not None
            arrived = self.activity.tokens  # (V)
        effective = (op.synapses != 0).astype(np.int64) @ arrived  # (O)
        key = "Effective_ACs" if kind in ("spikes", "token") else "Effective_MACs"
        counts: dict[str, IntArray | int] = {key: effective}
        unit.add(Dense=synops(op, self.program) * self.ticks, **counts)

    def statistics(self, op: Op) -> None:
        """Add what is done once per step, and sent to all channels."""
        unit = self.unit(OpPart(op.name, "statistics"), 1)
        self.work(unit, op.work_per_step())
        messages = op.statistics * self.ticks
        unit.add(messages=messages, message_bits=messages * STATISTICS_BITS)

    def readout(self, unit: ChannelCounts) -> None:
        """Add what is pooled per channel and step, sent once per sample and decoded there."""
        op = self.program.readout
        samples, nonzero = self._decoded, self.activity.nonzero_sums
        bits = readout_sum_bits(self.program)
        self.unit(OpPart(op.name, "sum"), nonzero.size).add(
            elementwise_adds=self.ticks
            if op.pool in ("mean", "max")
            else 0,  # a comparison counts as one
            messages=nonzero * -(-bits // self.bits_per_message),
            message_bits=nonzero * bits,
        )
        unit.add(
            Effective_MACs=(op.weight != 0).astype(np.int64) @ nonzero,
            Dense=op.weight.shape[1] * samples,
            elementwise_multiplies=DECODE_PRODUCTS * samples if op.pool == "mean" else 0,
            elementwise_adds=DECODE_SUMS * samples,
        )

    @property
    def _decoded(self) -> int:
        """How often logits are made: at a sample's end, or at every step."""
        return self.ticks if self.program.readout.streams else self.activity.samples

    def messages(self) -> None:
        """Add what neurons send every step; see `readout` for what they send once."""
        for name in sent_tensors(self.program) - {self.program.input.name}:
            sent = self.activity.nonzero[name]
            op, unit = self.program[name], self.units[OpPart(name)]
            unit.add(messages=sent, message_bits=sent * op.message_bits)
            if op.emits == "spikes":
                unit.add(spikes=sent)

    def arrivals(self, groups: Sequence[NeuronGroup]) -> None:
        """Add graded values that arrive without a weight."""
        for group in groups:
            for source in group.sources:
                if source.weighted:
                    continue
                if source.unit.part == "statistics":
                    numbers = self.program[source.unit.op].statistics
                    sent: IntArray = np.full(1, numbers * self.ticks)
                else:
                    sent = self.activity.nonzero[source.unit.op]
                self.units[group.unit].add(unweighted_synops=sent.sum() if source.dense else sent)

    def updates(self, groups: Sequence[NeuronGroup]) -> None:
        """Add steps of neurons, told apart by what the last tensor they send did."""
        for group in groups:
            updates = self.ticks
            if group.unit == OpPart(self.program.readout.name):  # works at a sample's end
                updates = self._decoded
            active = self._active(group, updates)
            self.units[group.unit].add(
                neuron_updates_active=active, neuron_updates_idle=updates - active
            )

    def _active(self, group: NeuronGroup, updates: int) -> IntArray | int:
        """Return the updates of a group's neurons after which they sent something."""
        if group.unit.part == "sum":
            return self.activity.nonzero_sums
        if group.unit.part == "statistics" or group.unit.op == self.program.readout.name:
            return updates
        return self.activity.nonzero[group.sends[-1].op] if group.sends else 0
