"""Lower a program to a tape: choose floats or integers for each operation, and lay out memory.

An operation with an equation runs on the kernels derived from it, in floats where they are exact,
else in integers. The few whose kernels are written by hand are lowered in functions of their own.
"""

from __future__ import annotations

from functools import lru_cache, singledispatch

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.derive import exactness, integers
from neurossm.derive.floats import float_kernel
from neurossm.engine.cpu.kernels import derived, kinds
from neurossm.engine.cpu.kernels.mix import PANEL
from neurossm.engine.cpu.kernels.simd import LANES, ROW
from neurossm.engine.cpu.kernels.ssm import MODES
from neurossm.engine.cpu.lowering import Lowering
from neurossm.engine.cpu.packing import Packing, packing_of
from neurossm.engine.cpu.tape import Tape, Tensor, padded
from neurossm.errors import UnsupportedError
from neurossm.program import (
    SSM,
    Affine,
    Dense,
    Embedding,
    Input,
    LayerNorm,
    Op,
    Program,
    Readout,
)


@lru_cache(maxsize=8)
def lower(program: Program, record: tuple[str, ...] = (), count: tuple[str, ...] = ()) -> Tape:
    """Return the tape of a program that keeps the tensors `record` until a chunk's end.

    Of the tensors `count` it counts the nonzero integers.

    Raises
    ------
    UnsupportedError
        The program has an operation that this engine does not know.
    """
    lowering = Lowering(program, record, count)
    for op in program.ops:
        if lowering.waits(op):
            continue
        lower_op(op, lowering)
        if op.name in count:
            lowering.total(op.name, op.name, kinds.COUNT, kinds.X_COUNT)
        lowering.forget_after(op)
    tensors = {name: lowering.tensors[name] for name in record}
    return lowering.builder.finish(tensors, lowering.sums)


@singledispatch
def lower_op(op: Op, to: Lowering) -> None:
    """Append the instructions of an operation: here, of one whose kernels are derived.

    Raises
    ------
    UnsupportedError
        It has no equation, and no kernel by hand.
    """
    if op.traced() is None:
        raise UnsupportedError(
            f"{op.name}: the fast engine does not know {type(op).__name__}; use --engine reference"
        )
    inputs = [to.intervals[name] for name in op.inputs]
    kernel = float_kernel(type(op))
    recorded = any(op.state_name(state) in to.record for state in op.states)
    if kernel and to.floats_hold(op) and not recorded and kernel.is_exact(op, inputs):
        stride = padded(op.out.channels)
        fields = to.builder.add_floats(kernel.parameters(op, stride, ROW))
        states = to.state_columns(op, stride * len(op.states))
        to.emit(op, derived.float_number(type(op)), {"FLOATS": fields, **states})
    else:
        lower_exactly(op, to)


def lower_exactly(op: Op, to: Lowering) -> None:
    """Append an operation in integers, which writes its states (rows, H, N, states) where asked."""
    recorded = [state for state in op.states if op.state_name(state) in to.record]
    modes = max(op.modes, 1)
    size = op.out.channels * modes * len(op.states)
    record = to.builder.allocate(size) if recorded else -1
    columns = {
        "INTS": to.builder.add_ints(integers.parameters_of(op)),
        "MODES": modes,
        "RECORD": record,
        "RECORD_STRIDE": padded(size),
        **to.state_columns(op, size),
    }
    to.emit(op, derived.integer_number(type(op)), columns, exact=True)
    for state in recorded:
        to.tensors[op.state_name(state)] = Tensor(record, size, is_float=False)


@lower_op.register
def _(op: Input, to: Lowering) -> None:
    exact = not exactness.holds(op.out.interval)
    to.emit(op, kinds.X_LOAD if exact else kinds.LOAD, exact=exact)


@lower_op.register
def _(op: Affine, to: Lowering) -> None:
    """Join the Dense it reads, where that waits for it."""
    dense = to.waiting.pop(op.inputs[0], None)
    if dense is not None:
        _lower_dense(dense, to, op)
        to.forget_after(dense)
    else:
        lower_op.dispatch(Op)(op, to)


@lower_op.register
def _(op: LayerNorm, to: Lowering) -> None:
    if to.floats_hold(op) and exactness.layernorm_is_exact(op, to.interval(op)):
        gain = np.ldexp(op.gain.astype(np.float64), -op.shift)
        fields = to.builder.add_columns(gain, op.offset + 0.5)
        to.emit(op, kinds.LAYERNORM, {"FLOATS": fields, "EPS": op.eps})
    else:
        lower_exactly(op, to)


@lower_op.register
def _(op: Dense, to: Lowering) -> None:
    _lower_dense(op, to, None)


def _lower_dense(op: Dense, to: Lowering, affine: Affine | None) -> None:
    """Append a matrix product, with the Affine that reads it if it is the only one."""
    x = to.interval(op)
    packing = packing_of(op.weight, x) if to.floats_hold(op) else None
    if packing is not None:
        _lower_packed(op, to, affine, packing)
        return
    if to.floats_hold(op) and exactness.sum_reach(op.weight, x) < exactness.DOUBLE:
        to.emit(op, kinds.DENSE, {"FLOATS": to.builder.add_floats(op.weight.T)})
    else:
        to.emit(op, kinds.X_DENSE, {"INTS": to.builder.add_ints(op.weight.T)}, exact=True)
    if affine is not None:
        lower_op(affine, to)


def _lower_packed(op: Dense, to: Lowering, affine: Affine | None, packing: Packing) -> None:
    """Append a product of packed numbers; the sum over an input's offset is taken off the bias."""
    gain, bias = np.ones(op.out.channels), np.zeros(op.out.channels)
    if affine is not None:
        gain = np.ldexp(affine.gain.astype(np.float64), -affine.shift)
        bias = affine.offset + 0.5
    bias = bias - gain * (packing.offset * op.weight.sum(axis=1))
    sizes = {1: kinds.SINGLE_DENSE, 2: kinds.SHORT_DENSE, 4: kinds.BYTE_DENSE}
    to.builder.scratch(to.tensors[op.inputs[0]].stride * (4 // packing.group) // 8)
    to.emit(
        op,
        sizes[packing.group],
        {
            "FLOATS": to.builder.add_columns(gain, bias, [packing.offset]),
            "WEIGHTS": to.builder.add_weights(_panels(op.weight, packing.group), packing.dtype),
        },
        then=affine,
    )


def _panels(weight: IntArray, group: int) -> IntArray:
    """Pack weights (O, I) for `kernels.mix`: (panels, groups of inputs, PANEL, group)."""
    outputs, inputs = weight.shape
    table = np.zeros((padded(outputs, PANEL), padded(inputs, group)), np.int64)
    table[:outputs, :inputs] = weight
    return table.reshape(-1, PANEL, table.shape[1] // group, group).transpose(0, 2, 1, 3)


@lower_op.register
def _(op: Embedding, to: Lowering) -> None:
    if (exactness.exact(op.weight) < exactness.DOUBLE).all():
        to.emit(op, kinds.EMBED, {"FLOATS": to.builder.add_floats(op.weight)})
    else:
        to.emit(op, kinds.X_EMBED, {"INTS": to.builder.add_ints(op.weight)}, exact=True)


@lower_op.register
def _(op: SSM, to: Lowering) -> None:
    u = to.interval(op)
    recorded = any(op.state_name(state) in to.record for state in op.states)
    if to.floats_hold(op) and not recorded and exactness.ssm_is_exact(op, u):
        modes, lanes = padded(op.modes, MODES), padded(op.out.channels, LANES)
        to.builder.scratch(3 * LANES)
        to.emit(
            op,
            kinds.RECUR,
            {
                "FLOATS": to.builder.add_floats(*_ssm_parameters(op, modes, lanes)),
                "MODES": modes,
                "STATE_BITS": 0 if op.states_proved(u) else op.state_bits,
                **to.state_columns(op, lanes * modes * 2),
            },
        )
    else:
        lower_exactly(op, to)


def _ssm_parameters(op: SSM, modes: int, lanes: int) -> tuple[FloatArray, FloatArray]:
    """Return the feed-through (lanes) and the parameters (blocks, modes, 5, LANES)."""
    fields = [
        np.ldexp(op.a_re.astype(np.float64), -op.pole_shift),
        np.ldexp(op.a_im.astype(np.float64), -op.pole_shift),
        np.exp2(op.input_shift.astype(np.float64)),
        np.ldexp(op.c_re.astype(np.float64), -op.readout_shift[:, None]),
        np.ldexp(op.c_im.astype(np.float64), -op.readout_shift[:, None]),
    ]
    channels, used = op.a_re.shape
    table = np.zeros((lanes, modes, len(fields)))
    there = np.arange(used) < op.mode_counts[:, None]  # absent modes are zero: loops leave them out
    table[:channels, :used] = np.stack(fields, axis=2) * there[..., None]
    d = np.zeros(lanes)
    d[:channels] = np.ldexp(op.d.astype(np.float64), -op.d_shift)
    return d, table.reshape(-1, LANES, modes, len(fields)).transpose(0, 2, 3, 1)


@lower_op.register
def _(op: Readout, to: Lowering) -> None:
    if op.pool == "mean":  # what others keep is taken of the tensor itself
        to.total("", op.inputs[0], kinds.ACCUMULATE, kinds.X_ACCUMULATE)
