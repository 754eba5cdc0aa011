"""Smaller programs out of a program: one operation alone, what leads to it, one channel, one mode.

A cut program keeps its tensors' widths; its bounds follow from the input of its own, which takes
all channels to be as wide as the widest. An engine chooses its number types by them, so a
difference may be lost with a cut, which is then given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.graph import Graph
from neurossm.graph import nodes as graph_nodes
from neurossm.parity.results import Mismatch
from neurossm.program import (
    Dense,
    Embedding,
    Input,
    Op,
    Program,
    Readout,
    TensorSpec,
    unchecked,
)
from neurossm.program.certificate import derive
from neurossm.program.fields import declared
from neurossm.program.tensor import MAX_BITS

Cut = tuple[Program, NDArray[np.generic]]

_EXACT = 1 << 53
"""Integers up to here pass through a float input unchanged."""


def alone(program: Program, op: Op, tensors: Mapping[str, IntArray]) -> Iterator[Cut]:
    """Yield programs of an input, one operation and a readout, with the integers it got as data.

    Parameters
    ----------
    program
        Where the operation is.
    op
        It.
    tensors
        (B, L, C): the integers of each tensor it reads.
    """
    if isinstance(op, Embedding):
        yield _program(program, program.input, [op]), tensors[op.inputs[0]]
        return
    sources = [program[name] for name in op.inputs]
    together = np.concatenate([tensors[source.name] for source in sources], axis=2)
    if np.abs(together).max(initial=0) >= _EXACT:
        return
    spec = _joined([source.out for source in sources])
    low, high = float(spec.to_float(spec.low).min()), float(spec.to_float(spec.high).max())
    source = Input("input", (), spec, "float", spec.channels, low, high)
    data = spec.to_float(together)
    if len(sources) == 1:
        yield _program(program, source, [replace(op, inputs=("input",))]), data
        return
    parts, begin = [], 0
    for position, part in enumerate(sources):
        size = part.out.channels
        weight = np.eye(spec.channels, dtype=np.int64)[begin : begin + size]
        out = replace(part.out, bits=spec.bits)
        parts.append(Dense(f"part.{position}", ("input",), out, weight))
        begin += size
    names = tuple(part.name for part in parts)
    yield _program(program, source, [*parts, replace(op, inputs=names)]), data


def prefixes(program: Program, op: Op) -> Iterator[Program]:
    """Yield what leads to an operation, then the program up to each residual sum after it."""
    yield _up_to(program, op, None)
    at = [one.name for one in program.ops].index(op.name)
    for later in program.ops[at:]:
        if later.merges:
            yield _up_to(program, later, program.readout)


def one_channel(program: Program, data: NDArray[np.generic], found: Mismatch) -> Cut:
    """Keep the channel that differs of a program of one operation; else return what was given."""
    op = program[found.operation]
    if len(program.ops) > 5 or isinstance(op, Input) or op.out.channels == 1:
        return program, data
    h = found.index[0]
    if isinstance(op, Embedding):
        return _program(program, program.input, [_sliced(op, h, weight=op.weight[:, [h]])]), data
    if isinstance(op, Readout):
        decoder = _sliced(op, h, weight=op.weight[[h]], bias=op.bias[[h]])
        return replace(program, ops=(*program.ops[:-1], decoder)), data
    if isinstance(op, Dense):
        one = _sliced(op, h, weight=op.weight[[h]])
        return _program(program, program.input, [one]), data
    if op.traced() is None or any(item.axis == "row" for item in op.code.instructions):
        return program, data  # a channel's result is not its own alone
    size = program.input.out.channels
    kept = [h] if len(op.inputs) == 1 else [h, h + size // 2]
    source = replace(program.input, out=_channels(program.input.out, kept), size=len(kept))
    parts = [
        replace(
            part,
            out=_channels(part.out, [h]),
            weight=np.eye(2, dtype=np.int64)[[position]],
        )
        for position, part in enumerate(program.ops[1:-2])
        if isinstance(part, Dense)
    ]
    return _program(program, source, [*parts, _sliced(op, h)]), data[:, :, kept]


def one_mode(program: Program, data: NDArray[np.generic], found: Mismatch) -> Cut:
    """Keep the mode that differs; else return what was given."""
    op = program[found.operation]
    if len(found.index) < 2 or op.modes <= 1:
        return program, data
    n = found.index[1]
    fields = {name: values[:, [n]] for name, values in _fields(op, "mode").items()}
    smaller = _changed(op, **fields)
    return program.with_ops(derive(smaller if one is op else one for one in program.ops)), data


def _up_to(program: Program, op: Op, readout: Readout | None) -> Program:
    """Return the operations that lead to one, and a readout."""
    needed = {op.name}
    for one in reversed(program.ops):
        if one.name in needed:
            needed |= set(one.inputs)
    ops = [one for one in program.ops[1:] if one.name in needed]
    if readout is not None and not isinstance(op, Readout):
        ops.append(replace(readout, inputs=(op.name,)))
    return _program(program, program.input, ops)


def _program(program: Program, source: Input, ops: list[Op]) -> Program:
    """Return a program of an input and operations; a readout is added if none is there.

    Its float graph is the input alone: nothing is compared with floats.
    """
    node = graph_nodes.InputNode(
        "input", (), source.kind, source.size, source.low, source.high, 1.0
    )
    last = ops[-1] if ops else source
    if not isinstance(last, Readout):
        spec = unchecked(8, 0, 1)
        weight = np.zeros((1, last.out.channels), np.int64)
        end = Readout(
            "readout", (last.name,), spec, weight, np.zeros(1, np.int64), 0, program.max_steps
        )
        ops = [*ops, end]
    return Program(derive((source, *ops)), Graph((node,)), program.target, profile=program.profile)


def _joined(specs: list[TensorSpec]) -> TensorSpec:
    """Return the specification of tensors side by side, wide enough for the range of any."""
    exponent = np.concatenate([spec.exponent for spec in specs])
    return TensorSpec(
        bits=min(MAX_BITS, max(spec.bits for spec in specs) + int(np.ptp(exponent))),
        exponent=exponent,
        low=np.concatenate([spec.low for spec in specs]),
        high=np.concatenate([spec.high for spec in specs]),
        proved=all(spec.proved for spec in specs),
    )


def _channels(spec: TensorSpec, kept: list[int]) -> TensorSpec:
    parts: dict[str, Any] = {
        name: getattr(spec, name)[kept] for name in ("exponent", "low", "high")
    }
    return replace(spec, **parts)


def _sliced(op: Op, h: int, **others: IntArray) -> Op:
    """Return an operation with one channel of its output and of its fields."""
    fields = {name: values[[h]] for name, values in _fields(op, "channel", "mode").items()}
    return _changed(op, out=_channels(op.out, [h]), **fields, **others)


def _fields(op: Op, *axes: str) -> dict[str, IntArray]:
    """Return the declared fields of these axes."""
    names = [field.name for field in declared(type(op)) if field.metadata["axis"] in axes]
    return {name: getattr(op, name) for name in names}


def _changed(op: Op, **fields: Any) -> Op:
    return replace(op, **fields)
