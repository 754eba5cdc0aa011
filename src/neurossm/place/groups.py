"""What a core must hold: the neuron groups of a program, and the bytes of one neuron of each.

A neuron is a program of a core that runs once per step for one channel. Five kinds of groups arise:

- the encoder: the sum over the input channels, scaled to the residual stream;
- an SSM: its drive's scaling, N complex modes, their readout and the spike;
- a mixing unit: the sums over spikes (for a GLU of value and gate), everything elementwise behind
  them and the residual sum;
- the statistics of a LayerNorm, or of a threshold that follows the largest activation: one neuron
  that receives every channel's value, and sends what all need back to them (the sum, and the
  reciprocal root with its shifts; the threshold);
- the readout: one sum over time per channel, and one neuron per class that decodes at the end.

Bytes, per neuron, each number in whole bytes (24 bits are 3):

- state: the numbers kept from step to step, one accumulator per weighted sum, and for a value that
  another neuron of the same channel sends (the residual) an accumulator plus, where the neuron also
  has weighted sums, a register that delays it by the one step these take;
- parameters: the fields of its operations, as wide as their largest number; nothing is shared
  between neurons, also where poles are tied;
- synapses: one weight per source channel and weighted sum, zeros included, at the width that the
  largest weight needs; one weight for each value from another neuron of the same channel;
- per core: the tables of piecewise-linear functions, once.

Microcode, and the memory that routing takes, are not published and not counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

from neurossm.errors import UnsupportedError
from neurossm.naming import part_of
from neurossm.place.bytes import (
    AS_COMPILED,
    Variant,
    absent_bytes,
    field_bytes,
    parameter_bytes,
    readout_sum_bits,
    resized,
    state_bytes,
    table_bytes,
    weights_bytes,
    whole_bytes,
)
from neurossm.place.neurons import neuron_of
from neurossm.program import Op, Program

SPIKE_RATE = 0.35
"""Share of spikes that are assumed not to be zero when work is balanced: what trained models do."""
"""What operations emit that needs additions only where it meets a weight."""

Part = Literal["output", "statistics", "sum"]
"""An operation's output, what it computes once per step, a readout's sums over time."""


class OpPart(NamedTuple):
    """An operation, or a part of one that has neurons of its own: what is counted and sent."""

    op: str
    part: Part = "output"

    def __str__(self) -> str:
        """Return the name for people."""
        return self.op if self.part == "output" else part_of(self.op, self.part)


@dataclass(frozen=True)
class Feed:
    """What a group receives: from every channel (`dense`) or each from its own, weighted or not."""

    unit: OpPart
    channels: int
    dense: bool
    weighted: bool = False


@dataclass(frozen=True)
class NeuronGroup:
    """Equal neurons, one per channel.

    Parameters
    ----------
    units
        Its operations, the weighted sums that feed it included; the last one names it.
    layer
        The part of the network it belongs to.
    neurons
        How many.
    state_bytes, parameter_bytes, synapse_bytes
        Of one neuron.
    shared_bytes
        Of each core that holds any.
    sources
        What it receives.
    sends
        What it sends to other groups.
    operations
        Of one neuron in one step: its own, and an addition per weight that a spike arrives at,
        with `SPIKE_RATE` spikes.
    modes
        Complex modes per neuron; where neurons differ, those of the largest, of which bytes and
        operations are, too.
    absent_modes, absent_state_bytes, absent_parameter_bytes
        What the mean neuron has less.
    """

    units: tuple[OpPart, ...]
    layer: str
    neurons: int
    state_bytes: int
    parameter_bytes: int
    synapse_bytes: int
    shared_bytes: int
    sources: tuple[Feed, ...]
    sends: tuple[OpPart, ...]
    operations: int
    modes: int = 0
    absent_modes: float = 0.0
    absent_state_bytes: float = 0.0
    absent_parameter_bytes: float = 0.0

    @property
    def mean_modes(self) -> float:
        """Complex modes of the mean neuron."""
        return self.modes - self.absent_modes

    @property
    def total_bytes(self) -> int:
        """Bytes of all neurons, each with its own modes, and of what they share."""
        absent = self.absent_state_bytes + self.absent_parameter_bytes
        return round(self.neurons * (self.bytes_per_neuron - absent)) + self.shared_bytes

    @property
    def unit(self) -> OpPart:
        """The last of its units."""
        return self.units[-1]

    @property
    def name(self) -> str:
        """The name for people, no other group's."""
        return str(self.unit)

    @property
    def bytes_per_neuron(self) -> int:
        """State, parameters and synapses together."""
        return self.state_bytes + self.parameter_bytes + self.synapse_bytes


def neuron_groups(
    program: Program, accumulator_bits: int, variant: Variant = AS_COMPILED
) -> tuple[NeuronGroup, ...]:
    """Return the groups of a program, in its order.

    Raises
    ------
    UnsupportedError
        The program has an operation that no neuron can be charged with.
    """
    context = _Context(program, neuron_of(program), accumulator_bits, variant)
    members: dict[str, list[Op]] = {}
    for op in program.ops:
        if op.name in context.owner:
            members.setdefault(context.owner[op.name], []).append(op)
    groups = []
    for ops in members.values():
        groups += [_statistics(context, op) for op in ops if op.statistics]
        groups.append(_group(context, ops))
    groups += _readout_groups(context)
    twice = [name for name, times in Counter(g.name for g in groups).items() if times > 1]
    if twice:
        raise UnsupportedError(
            f"{twice[0]}: an operation is called like a part of another one; rename it"
        )
    return tuple(groups)


@dataclass(frozen=True)
class _Context:
    """What the groups are made from."""

    program: Program
    owner: dict[str, str]
    accumulator_bits: int
    variant: Variant

    def is_sent(self, op: Op) -> bool:
        """Tell whether another neuron reads an operation's tensor."""
        return any(
            self.owner.get(reader.name) != self.owner[op.name] or reader.statistics
            for reader in self.program.readers(op.name)
        )


def _group(context: _Context, ops: list[Op]) -> NeuronGroup:
    program, variant = context.program, context.variant
    inside = {op.name for op in ops}
    sums = [op for op in ops if op.sums]
    neurons = [resized(op, variant) for op in ops if not op.sums]
    paired = dict.fromkeys(name for op in neurons for name in op.inputs if name not in inside)
    statistics = [op for op in neurons if op.statistics]
    received = len(sums) + len(paired) + sum(op.statistics for op in statistics)
    delays = [program[name].out.bits for name in paired] if sums else []
    sources = [
        *(Feed(OpPart(op.inputs[0]), op.synapses.shape[1], True, True) for op in sums),
        *(Feed(OpPart(name), 1, dense=False) for name in paired),
        *(Feed(OpPart(op.name, "statistics"), 1, dense=True) for op in statistics),
    ]
    absent = [absent_bytes(op, variant) for op in neurons]
    return NeuronGroup(
        units=(*(OpPart(op.name) for op in sums), *(OpPart(op.name) for op in neurons)),
        layer=neurons[-1].layer,
        neurons=neurons[-1].out.channels,
        state_bytes=received * whole_bytes(context.accumulator_bits)
        + sum(whole_bytes(bits) for bits in delays)
        + sum(state_bytes(op, variant) for op in neurons),
        parameter_bytes=sum(parameter_bytes(op) for op in neurons),
        synapse_bytes=sum(weights_bytes(op.synapses, variant.weight_bits) for op in sums)
        + received
        - len(sums),
        shared_bytes=sum(table_bytes(op) for op in neurons),
        sources=tuple(dict.fromkeys(sources)),  # both halves of a GLU read the same
        sends=tuple(OpPart(op.name) for op in neurons if context.is_sent(op)),
        operations=sum(op.work().operations for op in neurons)
        + sum(_expected_synops(op, program) for op in sums),
        modes=sum(op.modes for op in neurons),
        absent_modes=sum(op.modes - float(op.mode_counts.mean()) for op in neurons),
        absent_state_bytes=sum(states for states, _ in absent),
        absent_parameter_bytes=sum(parameters for _, parameters in absent),
    )


def synops(op: Op, program: Program) -> int:
    """Return the synaptic operations of one channel of a weighted sum when all sources send."""
    if program[op.inputs[0]].emits == "token":
        return 1
    return op.synapses.shape[1]


def _expected_synops(op: Op, program: Program) -> int:
    """Return the synaptic operations of one weighted sum of a neuron in a step."""
    rate = SPIKE_RATE if program[op.inputs[0]].emits == "spikes" else 1
    return ceil(synops(op, program) * rate)


def _statistics(context: _Context, op: Op) -> NeuronGroup:
    channels = op.out.channels
    unit = OpPart(op.name, "statistics")
    return NeuronGroup(
        units=(unit,),
        layer=op.layer,
        neurons=1,
        state_bytes=channels * whole_bytes(context.accumulator_bits),
        parameter_bytes=8,  # eps, or the factor and its shift
        synapse_bytes=channels,
        shared_bytes=0,
        sources=tuple(Feed(OpPart(name), channels, dense=True) for name in op.inputs),
        sends=(unit,),
        operations=op.work_per_step().operations,
    )


def _readout_groups(context: _Context) -> tuple[NeuronGroup, NeuronGroup]:
    """One sum over time per channel, sent once at the end to one neuron per class."""
    program, op = context.program, context.program.readout
    channels = program[op.inputs[0]].out.channels
    total, decoder = OpPart(op.name, "sum"), OpPart(op.name)
    totals = NeuronGroup(
        units=(total,),
        layer=op.layer,
        neurons=channels,
        state_bytes=whole_bytes(context.accumulator_bits) + whole_bytes(readout_sum_bits(program)),
        parameter_bytes=0,
        synapse_bytes=1,
        shared_bytes=0,
        sources=(Feed(OpPart(op.inputs[0]), 1, dense=False),),
        sends=(total,),
        operations=1,
    )
    classes = NeuronGroup(
        units=(decoder,),
        layer=op.layer,
        neurons=op.out.channels,
        state_bytes=8,  # its one sum, over everything, in 64 bits
        parameter_bytes=field_bytes(op.bias) + 1,
        synapse_bytes=weights_bytes(op.weight, context.variant.weight_bits),
        shared_bytes=0,
        sources=(Feed(total, channels, dense=True, weighted=True),),
        sends=(),
        operations=2 if op.streams else 0,  # bias and half; others work once per sample
    )
    return totals, classes
