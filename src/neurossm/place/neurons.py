"""Which operations make one neuron, and which tensors neurons send to each other."""

from __future__ import annotations

from neurossm.errors import UnsupportedError
from neurossm.place.bytes import table_bytes
from neurossm.program import Op, Program


def sent_tensors(program: Program) -> frozenset[str]:
    """Return the tensors that travel between neurons, the input included."""
    owner = neuron_of(program)
    sent = set()
    for op in program.ops:
        for name in op.inputs:
            if owner.get(name) != owner.get(op.name, op.name) or op.statistics:
                sent.add(name)
    return frozenset(sent - {op.name for op in program.ops if op.sums})


def neuron_of(program: Program) -> dict[str, str]:
    """Return a label of the group of every operation, without Input and Readout.

    Operations of one channel belong together, unless one reads a tensor that has to be sent
    anyway, because an operation with states, a weighted sum or the readout reads it too. A weighted
    sum belongs to what reads it.
    """
    label: dict[str, str] = {}
    outside = (program.input, program.readout)
    inner = [op for op in program.ops if op not in outside and not op.sums]
    for op in inner:
        if op.states:
            label[op.name] = op.name
            for name in op.inputs:
                drive = program[name]
                scaled = _is_plain(drive, program) and drive.emits == "graded"
                if scaled and len(program.readers(name)) == 1:
                    label[name] = op.name
        elif _is_plain(op, program) and op.inputs[0] in label:
            label[op.name] = label[op.inputs[0]]  # the neuron scales or thresholds its own output
    neurons = set(label.values())
    for op in inner:
        if op.name in label:
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
        if op.sums:
            readers = {label[reader.name] for reader in program.readers(op.name)}
            if len(readers) != 1:
                raise UnsupportedError(
                    f"{op.name}: a weighted sum must be read inside one neuron, not by "
                    f"{len(readers)} of them"
                )
            label[op.name] = readers.pop()
    return label


def _is_plain(op: Op, program: Program) -> bool:
    """Tell whether an operation maps one value of a channel to one, without a table or a state."""
    special = op.sums or op.states or op.statistics or table_bytes(op)
    return op.arity == 1 and op is not program.readout and not special


def _is_sent(program: Program, name: str, label: dict[str, str]) -> bool:
    return any(
        reader.sums
        or reader is program.readout
        or (program[label[reader.name]] if reader.name in label else reader).states
        for reader in program.readers(name)
    )
