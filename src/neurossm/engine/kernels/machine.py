"""The loop over operations: a chunk of time goes through the whole network, then the next.

A program is lowered to a tape: one row of 64-bit integers per instruction, whose columns are named
below, and arrays of parameters, one for each type of number. One compiled function runs every
tape, so that a new network needs no compilation.

Tensors live in a work memory of 64-bit words, which an instruction reads as floats or integers;
they are (rows, stride), a row being one step of one sample, and rows of a sample follow each other.
"""

from __future__ import annotations

from typing import Any

from neurossm.engine.kernels import exact, layernorm, mix, pointwise, ssm
from neurossm.engine.kernels.jit import entry, kernel, sources_digest
from neurossm.engine.kernels.simd import LANES

# Instructions. X_... are the ones in 64-bit integers.
LOAD, X_LOAD, TO_FLOAT, TO_INT = 0, 1, 2, 3
AFFINE, X_AFFINE, SPIKE, X_SPIKE, TERNARY, X_TERNARY = 4, 5, 6, 7, 8, 9
TABLE, X_TABLE, PRODUCT, X_PRODUCT, ADD, X_ADD = 10, 11, 12, 13, 14, 15
SINGLE_DENSE, DENSE, X_DENSE, EMBED, X_EMBED = 16, 17, 18, 19, 20
RECUR, X_RECUR, ACCUMULATE, X_ACCUMULATE = 21, 22, 23, 24
LAYERNORM, X_LAYERNORM, COUNT, X_COUNT = 25, 26, 27, 28
SHORT_DENSE, BYTE_DENSE = 29, 30

_INTEGER_KINDS = (
    X_AFFINE,
    X_SPIKE,
    X_TERNARY,
    X_TABLE,
    X_PRODUCT,
    X_ADD,
    X_EMBED,
    X_DENSE,
    X_LAYERNORM,
)

# Columns.
KIND = 0
OUT, A, B = 1, 2, 3  # where tensors begin, in words per row of the work memory
STRIDE, A_STRIDE = 4, 5  # words per row of the output and of the first input
CHANNELS, INPUTS = 6, 7
FLOATS, INTS, WEIGHTS = 8, 9, 10  # where the instruction's parameters begin
BITS, TALLY = 11, 12  # width to saturate to, 0 where proved unnecessary; where to count
STATE, MODES = 13, 14  # where the states begin, in words of one sample; padded number of modes
STATE_BITS, STATE_TALLY, RECORD = 15, 16, 17  # RECORD: -1, or where states are to be written
EXTRA = 18  # LayerNorm's eps
COLUMNS = 19


@kernel
def _limits(bits: int) -> Any:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


@kernel
def _floats(op: Any, rows: int, capacity: int, work: Any, p: Any) -> None:
    """Run an operation on single numbers in 64-bit floats."""
    kind, channels, stride = op[KIND], op[CHANNELS], op[STRIDE]
    x, out = work[op[A] * capacity :], work[op[OUT] * capacity :]
    p = p[op[FLOATS] :]
    if kind == AFFINE:
        pointwise.affine(x, out, rows, stride, p)
    elif kind == SPIKE:
        pointwise.spike(x, out, rows, stride, p)
    elif kind == TERNARY:
        pointwise.ternary(x, out, rows, stride, p)
    elif kind == TABLE:
        pointwise.table(x, out, rows, stride, p)
    elif kind == PRODUCT:
        pointwise.product(x, work[op[B] * capacity :], out, rows, stride, p)
    elif kind == ADD:
        pointwise.sum_of(x, work[op[B] * capacity :], out, rows, stride)
    elif kind == EMBED:
        mix.embed(x, p, out, rows, op[A_STRIDE], channels, stride)
    elif kind == LAYERNORM:
        gain, bias = p[:channels], p[stride : stride + channels]
        layernorm.layernorm(x, out, rows, channels, stride, gain, bias, op[EXTRA])
    elif kind == DENSE:
        mix.matmul(x, p, out, rows, op[INPUTS], op[A_STRIDE], channels, stride)


@kernel
def _ints(op: Any, rows: int, capacity: int, work: Any, p: Any) -> None:
    """Run an operation on single numbers in 64-bit integers."""
    kind, channels, stride = op[KIND], op[CHANNELS], op[STRIDE]
    x, out = work[op[A] * capacity :], work[op[OUT] * capacity :]
    p = p[op[INTS] :]
    if kind == X_AFFINE:
        exact.affine(x, out, rows, channels, stride, p)
    elif kind == X_SPIKE:
        exact.spike(x, out, rows, channels, stride, p)
    elif kind == X_TERNARY:
        exact.ternary(x, out, rows, channels, stride, p)
    elif kind == X_TABLE:
        exact.table(x, out, rows, channels, stride, p)
    elif kind == X_PRODUCT:
        exact.product(x, work[op[B] * capacity :], out, rows, channels, stride, p)
    elif kind == X_ADD:
        exact.sum_of(x, work[op[B] * capacity :], out, rows, channels, stride)
    elif kind == X_EMBED:
        mix.embed(x, p, out, rows, op[A_STRIDE], channels, stride)
    elif kind == X_LAYERNORM:
        layernorm.layernorm_exact(x, out, rows, channels, stride, p, op[EXTRA])
    elif kind == X_DENSE:
        mix.matmul(x, p, out, rows, op[INPUTS], op[A_STRIDE], channels, stride)


@kernel
def _recur(
    op: Any, shape: Any, capacity: int, work: Any, states: Any, scratch: Any, p: Any, tally: Any
) -> None:
    """Run an SSM in 64-bit floats."""
    channels, modes = op[CHANNELS], op[MODES]
    lanes = (channels + LANES - 1) // LANES * LANES
    d = p[op[FLOATS] : op[FLOATS] + lanes]
    low, high = 0.0, 0.0
    if op[STATE_BITS] > 0:
        low, high = _limits(op[STATE_BITS])
    tally[op[STATE_TALLY]] += ssm.recur(
        p[op[FLOATS] + lanes :],
        d,
        states[op[STATE] :],
        scratch,
        work[op[A] * capacity :],
        work[op[OUT] * capacity :],
        (shape[0], shape[1], channels, modes, op[STRIDE], shape[2]),
        float(low),
        float(high),
    )


@kernel
def _recur_exactly(
    op: Any, shape: Any, capacity: int, work: Any, states: Any, p: Any, tally: Any
) -> None:
    """Run an SSM in 64-bit integers, and record its states where asked."""
    channels, modes = op[CHANNELS], op[MODES]
    record = work[:0]
    if op[RECORD] >= 0:
        record = work[op[RECORD] * capacity :]
    tally[op[STATE_TALLY]] += exact.recur(
        p[op[INTS] + 3 * channels :],
        p[op[INTS] :],
        states[op[STATE] :],
        work[op[A] * capacity :],
        work[op[OUT] * capacity :],
        record,
        (shape[0], shape[1], channels, modes, op[STRIDE], shape[2]),
        op[STATE_BITS],
    )


@kernel
def _dense(op: Any, rows: int, capacity: int, work: Any, packed: Any, p: Any, weights: Any) -> None:
    """Run a matrix product of packed numbers, and the Affine after it."""
    x, out = work[op[A] * capacity :], work[op[OUT] * capacity :]
    shape = (rows, op[INPUTS], op[A_STRIDE], op[STRIDE])
    mix.matmul_packed(x, weights[op[WEIGHTS] :], out, packed, shape, p[op[FLOATS] :])


@kernel
def _total(op: Any, shape: Any, capacity: int, work: Any, states: Any) -> None:
    """Add a chunk to sums over time, or count its nonzero integers."""
    samples, steps, room = shape
    x = work[op[A] * capacity :]
    total = states[op[STATE] : op[STATE] + (samples - 1) * room + op[CHANNELS]]
    if op[KIND] in (COUNT, X_COUNT):
        pointwise.count_nonzero(x, total, samples, steps, op[STRIDE], room)
    else:
        pointwise.accumulate(x, total, samples, steps, op[STRIDE], room)


@kernel
def _saturate(op: Any, rows: int, capacity: int, floats: Any, ints: Any, tally: Any) -> None:
    low, high = _limits(op[BITS])
    count, at = 0, op[OUT] * capacity
    if op[KIND] in (X_AFFINE, X_TABLE, X_PRODUCT, X_ADD, X_RECUR, X_LAYERNORM):
        count = pointwise.saturate(ints[at:], rows, op[CHANNELS], op[STRIDE], low, high)
    else:
        least, most = float(low), float(high)
        count = pointwise.saturate(floats[at:], rows, op[CHANNELS], op[STRIDE], least, most)
    tally[op[TALLY]] += count


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
            (instructions, COLUMNS) int64.
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
                kind, stride = op[KIND], op[STRIDE]
                a, out = op[A] * capacity, op[OUT] * capacity
                if kind == RECUR:
                    _recur(op, shape, capacity, work[0], states[0], scratch[0], floats, tally)
                elif kind == BYTE_DENSE:
                    _dense(op, rows, capacity, work[0], scratch[3], floats, tiny)
                elif kind == SHORT_DENSE:
                    _dense(op, rows, capacity, work[0], scratch[2], floats, shorts)
                elif kind == SINGLE_DENSE:
                    _dense(op, rows, capacity, work[0], scratch[1], floats, singles)
                elif kind == LOAD:
                    pointwise.load_input(data, work[0][out:], samples, begin, steps, stride)
                elif kind == X_LOAD:
                    pointwise.load_input(data, work[1][out:], samples, begin, steps, stride)
                elif kind == TO_FLOAT:
                    size = rows * stride
                    pointwise.convert(work[1][a : a + size], work[0][out : out + size])
                elif kind == TO_INT:
                    size = rows * stride
                    pointwise.convert(work[0][a : a + size], work[1][out : out + size])
                elif kind in (ACCUMULATE, COUNT):
                    _total(op, shape, capacity, work[0], states[1])
                elif kind in (X_ACCUMULATE, X_COUNT):
                    _total(op, shape, capacity, work[1], states[1])
                elif kind == X_RECUR:
                    _recur_exactly(op, shape, capacity, work[1], states[1], ints, tally)
                elif kind in _INTEGER_KINDS:
                    _ints(op, rows, capacity, work[1], ints)
                else:
                    _floats(op, rows, capacity, work[0], floats)
                if op[BITS] > 0:
                    _saturate(op, rows, capacity, work[0], work[1], tally)
        return len(digest)

    return entry(execute)


execute = _entry(sources_digest())
