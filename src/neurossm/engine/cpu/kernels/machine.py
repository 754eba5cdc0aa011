"""The loop over operations: a chunk of time goes through the whole network, then the next.

A program is lowered to a tape: one row of 64-bit integers per instruction, and arrays of
parameters, one for each type of number. One compiled function runs every tape, so that a new
network needs no compilation.

Tensors live in a work memory of 64-bit words, which an instruction reads as floats or integers;
they are (rows, stride), a row being one step of one sample, and rows of a sample follow each other.
"""

from __future__ import annotations

from typing import Any

from neurossm.engine.cpu.kernels import columns as c
from neurossm.engine.cpu.kernels import derived, layernorm, mix, ssm
from neurossm.engine.cpu.kernels import kinds as k
from neurossm.engine.cpu.kernels import rows as rows_of
from neurossm.engine.cpu.kernels.jit import entry, kernel, sources_digest
from neurossm.engine.cpu.kernels.simd import LANES


@kernel
def _limits(bits: int) -> Any:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


@kernel
def _by_hand(op: Any, rows: int, capacity: int, work: Any, floats: Any, ints: Any) -> None:
    """Run an operation whose kernel is written by hand, `work` as floats and as integers."""
    kind, channels, stride = op[c.KIND], op[c.CHANNELS], op[c.STRIDE]
    a, out = op[c.A] * capacity, op[c.OUT] * capacity
    x, y = work[0][a:], work[0][out:]
    if kind == k.LAYERNORM:
        layernorm.layernorm(x, y, rows, channels, stride, floats[op[c.FLOATS] :], op[c.EPS])
    elif kind == k.EMBED:
        mix.embed(x, floats[op[c.FLOATS] :], y, rows, op[c.A_STRIDE], channels, stride)
    elif kind == k.X_EMBED:
        p = ints[op[c.INTS] :]
        mix.embed(work[1][a:], p, work[1][out:], rows, op[c.A_STRIDE], channels, stride)
    elif kind == k.DENSE:
        p = floats[op[c.FLOATS] :]
        mix.matmul(x, p, y, rows, op[c.INPUTS], op[c.A_STRIDE], channels, stride)
    elif kind == k.X_DENSE:
        p = ints[op[c.INTS] :]
        out_ints = work[1][out:]
        mix.matmul(work[1][a:], p, out_ints, rows, op[c.INPUTS], op[c.A_STRIDE], channels, stride)


@kernel
def _derived(
    op: Any, shape: Any, capacity: int, work: Any, states: Any, floats: Any, ints: Any, tally: Any
) -> None:
    """Run a kernel derived from an equation."""
    kind, channels, stride, modes = op[c.KIND], op[c.CHANNELS], op[c.STRIDE], op[c.MODES]
    samples, steps, room = shape
    a, b, out = op[c.A] * capacity, op[c.B] * capacity, op[c.OUT] * capacity
    if kind % 2 == 0:
        clipped = derived.run_floats(
            kind,
            work[0][a:],
            work[0][b:],
            work[0][out:],
            states[0][op[c.STATE] :],
            floats[op[c.FLOATS] :],
            samples,
            steps,
            channels,
            stride,
            room,
        )
    else:
        record = work[1][:0]
        if op[c.RECORD] >= 0:
            record = work[1][op[c.RECORD] * capacity :]
        clipped = derived.run_integers(
            kind,
            work[1][a:],
            work[1][b:],
            work[1][out:],
            states[1][op[c.STATE] :],
            record,
            ints[op[c.INTS] :],
            samples,
            steps,
            channels,
            stride,
            modes,
            room,
            op[c.RECORD_STRIDE],
        )
    if op[c.STATE_TALLY] >= 0:
        tally[op[c.STATE_TALLY]] += clipped


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
        rows_of.count_nonzero(x, total, samples, steps, op[c.STRIDE], room)
    else:
        rows_of.accumulate(x, total, samples, steps, op[c.STRIDE], room)


@kernel
def _saturate(op: Any, rows: int, capacity: int, floats: Any, ints: Any, tally: Any) -> None:
    low, high = _limits(op[c.BITS])
    count, at = 0, op[c.OUT] * capacity
    if op[c.KIND] >= k.FIRST_DERIVED and op[c.KIND] % 2 == 1:
        count = rows_of.saturate(ints[at:], rows, op[c.CHANNELS], op[c.STRIDE], low, high)
    else:
        least, most = float(low), float(high)
        count = rows_of.saturate(floats[at:], rows, op[c.CHANNELS], op[c.STRIDE], least, most)
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
                    rows_of.load_input(data, work[0][out:], samples, begin, steps, stride)
                elif kind == k.X_LOAD:
                    rows_of.load_input(data, work[1][out:], samples, begin, steps, stride)
                elif kind == k.TO_FLOAT:
                    size = rows * stride
                    rows_of.convert(work[1][a : a + size], work[0][out : out + size])
                elif kind == k.TO_INT:
                    size = rows * stride
                    rows_of.convert(work[0][a : a + size], work[1][out : out + size])
                elif kind in (k.ACCUMULATE, k.COUNT):
                    _total(op, shape, capacity, work[0], states[1])
                elif kind in (k.X_ACCUMULATE, k.X_COUNT):
                    _total(op, shape, capacity, work[1], states[1])
                elif kind >= k.FIRST_DERIVED:
                    _derived(op, shape, capacity, work, states, floats, ints, tally)
                else:
                    _by_hand(op, rows, capacity, work, floats, ints)
                if op[c.BITS] > 0:
                    _saturate(op, rows, capacity, work[0], work[1], tally)
        return len(digest)

    return entry(execute)


execute = _entry(sources_digest(*(source for _, _, source in derived.SOURCES)))
