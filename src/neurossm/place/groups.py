"""What a core must hold: the neuron groups of a program, and the bytes of one neuron of each.

A neuron is a program of a core that runs once per step for one channel. Five kinds of groups arise:

- the encoder: the sum over the input channels, scaled to the residual stream;
- an SSM: its drive's scaling, N complex modes, their readout and the spike;
- a mixing unit: the sums over spikes (for a GLU of value and gate), everything elementwise behind
  them and the residual sum;
- the statistics of a LayerNorm: one neuron that receives every channel's value, and sends their
  sum, the shift and the reciprocal root back to all;
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

from dataclasses import dataclass
from math import ceil

from neurossm.place.bytes import (
    AS_COMPILED,
    Variant,
    fan_in,
    field_bytes,
    parameter_bytes,
    readout_sum_bits,
    resized,
    ssm_state_bytes,
    synapse_bytes,
    synops,
    table_bytes,
    weights_bytes,
    whole_bytes,
)
from neurossm.place.neurons import neuron_of
from neurossm.program import SSM, Dense, Embedding, LayerNorm, Op, Program, Spike, Table, Ternary

SUM = ".sum"
"""Suffix of the group that holds a readout's sums over time."""
STATISTICS = ".statistics"
"""Suffix of the neuron that finds mean and deviation for a LayerNorm."""
SPIKE_RATE = 0.35
"""Share of spikes that are assumed not to be zero when work is balanced: what trained models do."""
STATISTICS_NUMBERS = 2
"""What that neuron sends in a step: the sum, and the root with its two shifts."""


@dataclass(frozen=True)
class Source:
    """A tensor that a group receives: from every channel (`dense`), or each from its own."""

    tensor: str
    channels: int
    dense: bool


@dataclass(frozen=True)
class NeuronGroup:
    """Equal neurons, one per channel.

    Parameters
    ----------
    name
        The last operation of the group.
    ops
        Its operations, the weighted sums that feed it included.
    neurons
        How many.
    state_bytes, parameter_bytes, synapse_bytes
        Of one neuron.
    shared_bytes
        Of each core that holds any.
    sources
        What it receives.
    sends
        The tensors it sends, to other groups.
    operations
        Of one neuron in one step: its own, and an addition per weight that a spike arrives at,
        with `SPIKE_RATE` spikes.
    modes
        Complex modes per neuron.
    """

    name: str
    ops: tuple[str, ...]
    neurons: int
    state_bytes: int
    parameter_bytes: int
    synapse_bytes: int
    shared_bytes: int
    sources: tuple[Source, ...]
    sends: tuple[str, ...]
    operations: int
    modes: int = 0

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
        groups += [_statistics(context, op) for op in ops if isinstance(op, LayerNorm)]
        groups.append(_group(context, ops))
    return (*groups, *_readout_groups(context))


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
            self.owner.get(reader.name) != self.owner[op.name] or isinstance(reader, LayerNorm)
            for reader in self.program.readers(op.name)
        )


def _group(context: _Context, ops: list[Op]) -> NeuronGroup:
    variant = context.variant
    inside = {op.name for op in ops}
    sums = [op for op in ops if isinstance(op, (Dense, Embedding))]
    neurons = [
        resized(op, variant) if isinstance(op, SSM) else op
        for op in ops
        if not isinstance(op, (Dense, Embedding))
    ]
    ssms = [op for op in neurons if isinstance(op, SSM)]
    paired = dict.fromkeys(name for op in neurons for name in op.inputs if name not in inside)
    sources = [Source(op.inputs[0], fan_in(op), dense=True) for op in sums]
    sources += [Source(name, 1, dense=False) for name in paired]
    norms = [op for op in neurons if isinstance(op, LayerNorm)]
    sources += [Source(op.name + STATISTICS, 1, dense=True) for op in norms]
    received = len(sums) + len(paired) + STATISTICS_NUMBERS * len(norms)
    delays = [context.program[name].out.bits for name in paired] if sums else []
    return NeuronGroup(
        name=neurons[-1].name,
        ops=tuple(op.name for op in ops),
        neurons=neurons[-1].out.channels,
        state_bytes=received * whole_bytes(context.accumulator_bits)
        + sum(whole_bytes(bits) for bits in delays)
        + sum(ssm_state_bytes(op, variant) for op in ssms),
        parameter_bytes=sum(parameter_bytes(op) for op in neurons),
        synapse_bytes=sum(synapse_bytes(op, variant) for op in sums) + received - len(sums),
        shared_bytes=sum(table_bytes(op) for op in neurons if isinstance(op, Table)),
        sources=tuple(dict.fromkeys(sources)),  # both halves of a GLU read the same spikes
        sends=tuple(op.name for op in neurons if context.is_sent(op)),
        operations=sum(op.work().operations for op in neurons)
        + sum(_expected_synops(context, op) for op in sums),
        modes=sum(op.modes for op in ssms),
    )


def _expected_synops(context: _Context, op: Op) -> int:
    """Return the additions of one neuron in a step."""
    spiking = isinstance(context.program[op.inputs[0]], (Spike, Ternary))
    return ceil(synops(op) * SPIKE_RATE) if spiking else synops(op)


def _statistics(context: _Context, op: LayerNorm) -> NeuronGroup:
    channels = op.out.channels
    name = op.name + STATISTICS
    return NeuronGroup(
        name=name,
        ops=(name,),
        neurons=1,
        state_bytes=channels * whole_bytes(context.accumulator_bits),
        parameter_bytes=8,  # eps
        synapse_bytes=channels,
        shared_bytes=0,
        sources=(Source(op.inputs[0], channels, dense=True),),
        sends=(name,),
        operations=op.work_per_step().operations,
    )


def _readout_groups(context: _Context) -> tuple[NeuronGroup, NeuronGroup]:
    """One sum over time per channel, sent once at the end to one neuron per class."""
    program, op = context.program, context.program.readout
    channels = program[op.inputs[0]].out.channels
    total_name = op.name + SUM
    totals = NeuronGroup(
        name=total_name,
        ops=(total_name,),
        neurons=channels,
        state_bytes=whole_bytes(context.accumulator_bits) + whole_bytes(readout_sum_bits(program)),
        parameter_bytes=0,
        synapse_bytes=1,
        shared_bytes=0,
        sources=(Source(op.inputs[0], 1, dense=False),),
        sends=(total_name,),
        operations=1,
    )
    classes = NeuronGroup(
        name=op.name,
        ops=(op.name,),
        neurons=op.out.channels,
        state_bytes=8,  # its one sum, over everything, in 64 bits
        parameter_bytes=field_bytes(op.bias) + 1,
        synapse_bytes=weights_bytes(op.weight, context.variant.weight_bits),
        shared_bytes=0,
        sources=(Source(total_name, channels, dense=True),),
        sends=(),
        operations=0,  # works once per sample, not per step
    )
    return totals, classes
