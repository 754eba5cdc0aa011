"""What a core must hold: the neuron groups of a program, and the bytes of one neuron of each.

A neuron is a program of a core that runs once per step for one channel. Four kinds of groups arise:

- the encoder: the sum over the input channels, scaled to the residual stream;
- an SSM: its drive's scaling, N complex modes, their readout and the spike;
- a mixing unit: the sums over spikes (for a GLU of value and gate), everything elementwise behind
  them and the residual sum;
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

from neurossm.compile.place_bytes import (
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
from neurossm.errors import UnsupportedError
from neurossm.program import (
    SSM,
    Affine,
    Dense,
    Embedding,
    Input,
    Op,
    Program,
    Readout,
    Spike,
    Table,
    Ternary,
)
from neurossm.program.work import work

SUM = ".sum"
"""Suffix of the group that holds a readout's sums over time."""


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
        Of one neuron in one step, at most: its own, and an addition per weight.
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
    owner = _owners(program)
    members: dict[str, list[Op]] = {}
    for op in program.ops:
        if op.name in owner:
            members.setdefault(owner[op.name], []).append(op)
    groups = [_group(program, ops, owner, accumulator_bits, variant) for ops in members.values()]
    return (*groups, *_readout_groups(program.readout, program, accumulator_bits, variant))


def sent_tensors(program: Program) -> frozenset[str]:
    """Return the tensors that travel between neurons, the input included."""
    owner = _owners(program)
    sent = set()
    for op in program.ops:
        for name in op.inputs:
            if owner.get(name) != owner.get(op.name, op.name):
                sent.add(name)
    return frozenset(sent - {op.name for op in program.ops if isinstance(op, (Dense, Embedding))})


def _owners(program: Program) -> dict[str, str]:
    """Return a label of the group of every operation, without Input and Readout.

    Operations of one channel belong together, unless one reads a tensor that has to be sent
    anyway, because an SSM, a weighted sum or the readout reads it too. A weighted sum belongs to
    what reads it.
    """
    label: dict[str, str] = {}
    for op in program.ops:
        if isinstance(op, SSM):
            label[op.name] = op.name
            drive = program[op.inputs[0]]
            if isinstance(drive, Affine) and len(program.readers(drive.name)) == 1:
                label[drive.name] = op.name
            for reader in program.readers(op.name):
                if isinstance(reader, (Spike, Ternary)):
                    label[reader.name] = op.name
    neurons = set(label.values())
    for op in program.ops:
        if op.name in label or isinstance(op, (Input, Dense, Embedding, Readout)):
            continue
        joined = [
            label[name]
            for name in op.inputs
            if name in label and label[name] not in neurons and not _is_sent(program, name, label)
        ]
        label[op.name] = op.name
        for other in joined:  # merge: relabel what this operation connects
            label.update({name: op.name for name, old in label.items() if old == other})
    for op in program.ops:
        if isinstance(op, (Dense, Embedding)):
            readers = {label[reader.name] for reader in program.readers(op.name)}
            if len(readers) != 1:
                raise UnsupportedError(
                    f"{op.name}: a weighted sum must be read inside one neuron, not by "
                    f"{len(readers)} of them"
                )
            label[op.name] = readers.pop()
    return label


def _is_sent(program: Program, name: str, label: dict[str, str]) -> bool:
    return any(
        isinstance(reader, (Dense, Readout, SSM))
        or (reader.name in label and isinstance(program[label[reader.name]], SSM))
        for reader in program.readers(name)
    )


def _group(
    program: Program,
    ops: list[Op],
    owner: dict[str, str],
    accumulator_bits: int,
    variant: Variant,
) -> NeuronGroup:
    inside = {op.name for op in ops}
    sums = [op for op in ops if isinstance(op, (Dense, Embedding))]
    neurons = [op for op in ops if not isinstance(op, (Dense, Embedding))]
    same_channel = dict.fromkeys(name for op in neurons for name in op.inputs if name not in inside)
    delays = [whole_bytes(program[name].out.bits) for name in same_channel] if sums else []
    accumulators = len(sums) + len(same_channel)
    sources = {op.inputs[0]: Source(op.inputs[0], fan_in(op), dense=True) for op in sums}
    for name in same_channel:
        sources[name] = Source(name, 1, dense=False)
    sends = tuple(
        op.name
        for op in neurons
        if any(owner.get(r.name) != owner[op.name] for r in program.readers(op.name))
    )
    neurons = [resized(op, variant) if isinstance(op, SSM) else op for op in neurons]
    ssms = [op for op in neurons if isinstance(op, SSM)]
    return NeuronGroup(
        name=neurons[-1].name,
        ops=tuple(op.name for op in ops),
        neurons=neurons[-1].out.channels,
        state_bytes=accumulators * whole_bytes(accumulator_bits)
        + sum(delays)
        + sum(ssm_state_bytes(op, variant) for op in ssms),
        parameter_bytes=sum(parameter_bytes(op) for op in neurons),
        synapse_bytes=sum(synapse_bytes(op, variant) for op in sums) + len(same_channel),
        shared_bytes=sum(table_bytes(op) for op in neurons if isinstance(op, Table)),
        sources=tuple(sources.values()),
        sends=sends,
        operations=sum(work(op).operations for op in neurons) + sum(synops(op) for op in sums),
        modes=sum(op.modes for op in ssms),
    )


def _readout_groups(
    op: Readout, program: Program, accumulator_bits: int, variant: Variant
) -> tuple[NeuronGroup, NeuronGroup]:
    """One sum over time per channel, sent once at the end to one neuron per class."""
    source = program[op.inputs[0]].out
    total_bits = readout_sum_bits(program)
    total_name = op.name + SUM
    totals = NeuronGroup(
        name=total_name,
        ops=(total_name,),
        neurons=source.channels,
        state_bytes=whole_bytes(accumulator_bits) + whole_bytes(total_bits),
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
        synapse_bytes=weights_bytes(op.weight, variant.weight_bits),
        shared_bytes=0,
        sources=(Source(total_name, source.channels, dense=True),),
        sends=(),
        operations=0,  # works once per sample, not per step
    )
    return totals, classes
