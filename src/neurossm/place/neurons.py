"""Which operations make one neuron, and which tensors neurons send to each other."""

from __future__ import annotations

from neurossm.errors import UnsupportedError
from neurossm.program import (
    SSM,
    Affine,
    Dense,
    Embedding,
    Input,
    LayerNorm,
    Program,
    Readout,
    Spike,
    Ternary,
)


def sent_tensors(program: Program) -> frozenset[str]:
    """Return the tensors that travel between neurons, the input included."""
    owner = neuron_of(program)
    sent = set()
    for op in program.ops:
        for name in op.inputs:
            if owner.get(name) != owner.get(op.name, op.name) or isinstance(op, LayerNorm):
                sent.add(name)
    return frozenset(sent - {op.name for op in program.ops if isinstance(op, (Dense, Embedding))})


def neuron_of(program: Program) -> dict[str, str]:
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
        elif isinstance(op, (Affine, Spike, Ternary)) and op.inputs[0] in label:
            label[op.name] = label[op.inputs[0]]  # the neuron scales or thresholds its own output
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
