"""The loop over operations: a chunk of time goes through the whole network, then the next.

A program is lowered to a tape: one row of 64-bit integers per instruction, and arrays of
parameters, one for each type of number. One compiled function runs every tape, so that a new
network needs no compilation.

Tensors live in a work memory of 64-bit words, which an instruction reads as floats or integers;
they are (rows, stride), a row being one step of one sample, and rows of a sample follow each other.
"""

from __future__ import annotations

from typing import Any

from neurossm.engine.kernels import columns as c
from neurossm.engine.kernels import exact, layernorm, mix, pointwise, ssm
from neurossm.engine.kernels import kinds as k
from neurossm.engine.kernels.jit import entry, kernel, sources_digest
from neurossm.engine.kernels.simd import LANES

_INTEGER_KINDS = (
    k.X_AFFINE,
    k.X_SPIKE,
    k.X_TERNARY,
    k.X_TABLE,
    k.X_PRODUCT,
    k.X_ADD,
    k.X_EMBED,
    k.X_DENSE,
    k.X_LAYERNORM,
)


@kernel
def _limits(bits: int) -> Any:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


@kernel
def _floats(op: Any, rows: int, capacity: int, work: Any, p: Any) -> None:
    """Run an operation on single numbers in 64-bit floats."""
    kind, channels, stride = op[c.KIND], op[c.CHANNELS], op[c.STRIDE]
    x, out = work[op[c.A] * capacity :], work[op[c.OUT] * capacity :]
    p = p[op[c.FLOATS] :]
    if kind == k.AFFINE:
        pointwise.affine(x, out, rows, stride, p)
    elif kind == k.SPIKE:
        pointwise.spike(x, out, rows, stride, p)
    elif kind == k.TERNARY:
        pointwise.ternary(x, out, rows, stride, p)
    elif kind == k.TABLE:
        pointwise.table(x, out, rows, stride, p)
    elif kind == k.PRODUCT:
        pointwise.product(x, work[op[c.B] * capacity :], out, rows, stride, p)
    elif kind == k.ADD:
        pointwise.sum_of(x, work[op[c.B] * capacity :], out, rows, stride)
    elif kind == k.EMBED:
        mix.embed(x, p, out, rows, op[c.A_STRIDE], channels, stride)
    elif kind == k.LAYERNORM:
        layernorm.layernorm(x, out, rows, channels, stride, p, op[c.EPS])
    elif kind == k.DENSE:
        mix.matmul(x, p, out, rows, op[c.INPUTS], op[c.A_STRIDE], channels, stride)


@kernel
def _ints(op: Any, rows: int, capacity: int, work: Any, p: Any) -> None:
    """Run an operation on single numbers in 64-bit integers."""
    kind, channels, stride = op[c.KIND], op[c.CHANNELS], op[c.STRIDE]
    x, out = work[op[c.A] * capacity :], work[op[c.OUT] * capacity :]
    p = p[op[c.INTS] :]
    if kind == k.X_AFFINE:
        exact.affine(x, out, rows, channels, stride, p)
    elif kind == k.X_SPIKE:
        exact.spike(x, out, rows, channels, stride, p)
    elif kind == k.X_TERNARY:
        exact.ternary(x, out, rows, channels, stride, p)
    elif kind == k.X_TABLE:
        exact.table(x, out, rows, channels, stride, p)
    elif kind == k.X_PRODUCT:
        exact.product(x, work[op[c.B] * capacity :], out, rows, channels, stride, p)
    elif kind == k.X_ADD:
        exact.sum_of(x, work[op[c.B] * capacity :], out, rows, channels, stride)
    elif kind == k.X_EMBED:
        mix.embed(x, p, out, rows, op[c.A_STRIDE], channels, stride)
    elif kind == k.X_LAYERNORM:
        layernorm.layernorm_exact(x, out, rows, channels, stride, p, op[c.EPS])
    elif kind == k.X_DENSE:
        mix.matmul(x, p, out, rows, op[c.INPUTS], op[c.A_STRIDE], channels, stride)


@kernel
def _recur(
    op: Any, shape: Any, capacity: int, work: Any, states: Any, scratch: Any, p: Any, tally: Any
) -> None:
    """Run an SSM in 64-bit floats."""
    channels, modes = op[c.CHANNELS], op[c.MODES]
    lanes = (channels + LANES - 1) // LANES * LANES
    d = p[op[c.FLOATS] : op[c.FLOATS] + lanes]
    low, high = 0.0, 0.0
    if op[c.STATE_BITS] > 0:
        low, high = _limits(op[c.STATE_BITS])
    tally[op[c.STATE_TALLY]] += ssm.recur(
        p[op[c.FLOATS] + lanes :],
        d,
        states[op[c.STATE] :],
        scratch,
        work[op[c.A] * capacity :],
        work[op[c.OUT] * capacity :],
        (shape[0], shape[1], channels, modes, op[c.STRIDE], shape[2]),
        float(low),
        float(high),
    )


@kernel
def _recur_exactly(
    op: Any, shape: Any, capacity: int, work: Any, states: Any, p: Any, tally: Any
) -> None:
    """Run an SSM in 64-bit integers, and record its states where asked."""
    channels, modes = op[c.CHANNELS], op[c.MODES]
    record = work[:0]
    if op[c.RECORD] >= 0:
        record = work[op[c.RECORD] * capacity :]
    tally[op[c.STATE_TALLY]] += exact.recur(
        p[op[c.INTS] + 3 * channels :],
        p[op[c.INTS] :],
        states[op[c.STATE] :],
        work[op[c.A] * capacity :],
        work[op[c.OUT] * capacity :],
        record,
        (shape[0], shape[1], channels, modes, op[c.STRIDE], shape[2]),
        op[c.STATE_BITS],
    )


@kernel
def _dense(op: Any, rows: int, capacity: int, work: Any, packed: Any, p: Any, weights: Any) -> None:
    """Run a matrix product of packed numbers, and the Affine after it."""
    x, out = work[op[c.A] * capacity :], work[op[c.OUT] * capacity :]
    shape = (rows, op[c.INPUTS], op[c.A_STRIDE], op[c.STRIDE])
    mix.matmul_packed(x, weights[op[c.WEIGHTS] :], out, packed, shape, p[op[c.FLOATS] :])


@kernel
def _total(op: Any, shape: Any, capacity: int, work: Any, states: Any) -> None:
    """Add a chunk to sums over time, or count its nonzero integers."""
    samples, steps, room = shape
    x = work[op[c.A] * capacity :]
    total = states[op[c.STATE] : op[c.STATE] + (samples - 1) * room + op[c.CHANNELS]]
    if op[c.KIND] in (k.COUNT, k.X_COUNT):
        pointwise.count_nonzero(x, total, samples, steps, op[c.STRIDE], room)
    else:
        pointwise.accumulate(x, total, samples, steps, op[c.STRIDE], room)


@kernel
def _saturate(op: Any, rows: int, capacity: int, floats: Any, ints: Any, tally: Any) -> None:
    low, high = _limits(op[c.BITS])
    count, at = 0, op[c.OUT] * capacity
    if op[c.KIND] in (k.X_AFFINE, k.X_TABLE, k.X_PRODUCT, k.X_ADD, k.X_RECUR, k.X_LAYERNORM):
        count = pointwise.saturate(ints[at:], rows, op[c.CHANNELS], op[c.STRIDE], low, high)
    else:
        least, most = float(low), float(high)
        count = pointwise.saturate(floats[at:], rows, op[c.CHANNELS], op[c.STRIDE], least, most)
    tally[op[c.TALLY]] += count


def _entry(digest: str) -> Any:
    """Return the compiled loop; it closes over the hash of all kernels (see `sources_digest`)."""

    def execute(
        tape: Any,
        parameters: Any,
        data: Any,
        span: Any,
        work: Any,
        states: Any,
        scratch: Any,
        tally: Any,
    ) -> int:
        """Run steps [start, stop) of some samples through a tape.

        Parameters
        ----------
        tape
            (instructions, columns) int64.
        parameters
            float64, int64, float32, int16 and int8 arrays.
        data
            (samples, L, C) int64.
        span
            start, stop, steps in a chunk.
        work
            Work memory as float64 and as int64, `samples * chunk` rows.
        states
            States as float64 and as int64, (samples * words of state).
        scratch
            float64, float32, int16 and uint8 arrays, one memory.
        tally
            Counts of clipped integers.
        """
        floats, ints, singles, shorts, tiny = parameters
        start, stop, chunk = span
        samples = data.shape[0]
        capacity = samples * chunk
        state_stride = states[0].size // samples
        for begin in range(start, stop, chunk):
            steps = min(chunk, stop - begin)
            rows = samples * steps
            shape = (samples, steps, state_stride)
            for i in range(tape.shape[0]):
                op = tape[i]
                kind, stride = op[c.KIND], op[c.STRIDE]
                a, out = op[c.A] * capacity, op[c.OUT] * capacity
                if kind == k.RECUR:
                    _recur(op, shape, capacity, work[0], states[0], scratch[0], floats, tally)
                elif kind == k.BYTE_DENSE:
                    _dense(op, rows, capacity, work[0], scratch[3], floats, tiny)
                elif kind == k.SHORT_DENSE:
                    _dense(op, rows, capacity, work[0], scratch[2], floats, shorts)
                elif kind == k.SINGLE_DENSE:
                    _dense(op, rows, capacity, work[0], scratch[1], floats, singles)
                elif kind == k.LOAD:
                    pointwise.load_input(data, work[0][out:], samples, begin, steps, stride)
                elif kind == k.X_LOAD:
                    pointwise.load_input(data, work[1][out:], samples, begin, steps, stride)
                elif kind == k.TO_FLOAT:
                    size = rows * stride
                    pointwise.convert(work[1][a : a + size], work[0][out : out + size])
                elif kind == k.TO_INT:
                    size = rows * stride
                    pointwise.convert(work[0][a : a + size], work[1][out : out + size])
                elif kind in (k.ACCUMULATE, k.COUNT):
                    _total(op, shape, capacity, work[0], states[1])
                elif kind in (k.X_ACCUMULATE, k.X_COUNT):
                    _total(op, shape, capacity, work[1], states[1])
                elif kind == k.X_RECUR:
                    _recur_exactly(op, shape, capacity, work[1], states[1], ints, tally)
                elif kind in _INTEGER_KINDS:
                    _ints(op, rows, capacity, work[1], ints)
                else:
                    _floats(op, rows, capacity, work[0], floats)
                if op[c.BITS] > 0:
                    _saturate(op, rows, capacity, work[0], work[1], tally)
        return len(digest)

    return entry(execute)


execute = _entry(sources_digest())
