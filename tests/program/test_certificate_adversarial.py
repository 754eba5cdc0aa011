"""Every operation of compiled networks, fed with the worst its proved inputs allow.

An input is admissible when it lies within its tensor's bounds. The output must then stay within
its own bounds, and must come near them: a bound that nothing approaches would waste bits.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from neurossm import program as p
from neurossm.compile import compile_model
from neurossm.program import Tally
from neurossm.program.certificate import certificates, headroom_bits

STEPS = 3000
KINDS = {
    "Input", "Dense", "Embedding", "Affine", "SSM", "Spike", "Ternary", "Table", "Product", "Add",
    "LayerNorm", "Readout",
}  # fmt: skip


@cache
def _programs(networks):
    found = []
    for seed, mixer, kind in ((0, "binary", "uint8"), (1, "gsu", "uint8"), (2, "binary", "tokens")):
        inputs = 5 if kind == "tokens" else 2
        graph = networks.random_graph(seed, mixer=mixer, kind=kind, inputs=inputs)
        data = networks.random_data(graph.input, seed, batch=4, steps=60)
        found.append(compile_model(graph, calibration=data))
    return found


def _ends(*intervals):
    """Every combination of the inputs' ends, (combinations, H) for each input."""
    picks = list(itertools.product((0, 1), repeat=len(intervals)))
    return [
        np.stack([(interval.low, interval.high)[pick[i]] for pick in picks])
        for i, interval in enumerate(intervals)
    ]


def _dense(op, interval):
    """For each output, the inputs that make it largest, then smallest."""
    up = np.where(op.weight > 0, interval.high, interval.low)
    down = np.where(op.weight > 0, interval.low, interval.high)
    return [np.concatenate([up, down])]


def _table(op, interval):
    borders = op.origin + (np.arange(len(op.base) + 1) << op.width)
    points = np.concatenate([borders, borders - 1])[:, None]
    return [np.concatenate([np.clip(points, interval.low, interval.high), *_ends(interval)])]


def _layernorm(interval):
    """One channel at an end, all others equal: all variance in one."""
    others = np.clip(0, interval.low, interval.high)
    rows = [
        np.where(np.arange(len(end)) == h, end, others)
        for end in (interval.low, interval.high)
        for h in range(len(end))
    ]
    return [np.stack(rows)]


def _readout(op, interval):
    up = np.where(op.weight > 0, interval.high, interval.low)
    down = np.where(op.weight > 0, interval.low, interval.high)
    return [np.concatenate([up, down])]


def _worst(op, intervals):
    if isinstance(op, p.Dense):
        return _dense(op, *intervals)
    if isinstance(op, p.Embedding):
        return [np.arange(int(intervals[0].high[0]) + 1)[:, None]]
    if isinstance(op, p.Table):
        return _table(op, *intervals)
    if isinstance(op, p.LayerNorm):
        return _layernorm(*intervals)
    if isinstance(op, p.Readout):
        return _readout(op, *intervals)
    if isinstance(op, p.Spike | p.Ternary):
        at = np.clip(op.threshold + np.array([[-1], [0], [1]]), intervals[0].low, intervals[0].high)
        return [np.concatenate([at, *_ends(*intervals)])]
    return _ends(*intervals)


def _reached(op, intervals):
    """Smallest and largest outputs (H) of the worst inputs; they never may exceed the bounds."""
    inputs = _worst(op, intervals)
    tally = Tally()
    _, y = op.step(op.start(len(inputs[0])), *inputs, tally=tally)
    assert not tally or not op.out.proved
    return y.min(axis=0), y.max(axis=0)


@pytest.mark.parametrize("which", range(3))
def test_operations_stay_within_their_bounds_and_come_near(networks, which):
    program = _programs(networks)[which]
    for op in program.ops[1:]:
        if isinstance(op, p.SSM):
            continue
        intervals = [program[name].out.interval for name in op.inputs]
        low, high = _reached(op, intervals)
        assert (low >= op.out.low).all(), op.name
        assert (high <= op.out.high).all(), op.name
        if isinstance(op, p.LayerNorm):  # |g| <= 2^20 + 64 for any number of channels; with 4,
            # the largest deviation over the root of all squares is sqrt(3 / 4)
            assert (high - low >= 0.8 * (op.out.high - op.out.low)).all(), op.name
        else:
            assert np.array_equal(low, op.out.low), op.name
            assert np.array_equal(high, op.out.high), op.name


def test_every_operation_is_there(networks):
    found = {type(op).__name__ for program in _programs(networks) for op in program.ops}
    assert found == KINDS


def _response_signs(op, channel):
    """Signs of the impulse response of a channel, the most recent step first, in floats."""
    q = (op.a_re[channel] + 1j * op.a_im[channel]) / 2.0 ** op.pole_shift[channel]
    c = (op.c_re[channel] + 1j * op.c_im[channel]) * 2.0 ** op.input_shift[channel]
    powers = q[None] ** np.arange(STEPS)[:, None]
    response = (powers * c).real.sum(axis=1)
    response[0] += op.d[channel] * 2.0 ** (
        int(op.readout_shift[channel]) - int(op.d_shift[channel])
    )
    return np.sign(response)


@pytest.mark.parametrize("which", range(2))
@pytest.mark.parametrize("sign", [1, -1])
def test_ssm_outputs_and_states_stay_within_their_bounds_and_come_near(networks, which, sign):
    program = _programs(networks)[which]
    for op in program.ops:
        if not isinstance(op, p.SSM):
            continue
        drive = program[op.inputs[0]].out.interval
        signs = np.stack([_response_signs(op, h) for h in range(op.out.channels)])[:, ::-1] * sign
        u = np.where(signs > 0, drive.high[:, None], drive.low[:, None]).T  # (steps, H)
        tally, state = Tally(), op.start(1)
        bounds = op.state_bounds(drive)
        reach = np.abs(bounds["state_re"].high - bounds["state_re"].low)
        largest = np.zeros(op.a_re.shape)
        for row in u:
            state, y = op.step(state, row[None], tally=tally)
            assert ((y >= op.out.low) & (y <= op.out.high)).all()
            for name, bound in bounds.items():
                assert ((state[name] >= bound.low) & (state[name] <= bound.high)).all()
            largest = np.maximum(largest, np.abs(state["state_re"][0]))
        assert not tally
        # Slow channels need more steps than there are; where the input cannot be zero, as it is
        # before a sample begins, the bound holds but cannot be reached.
        slowest = np.abs(op.a_re + 1j * op.a_im) / 2.0**op.pole_shift
        near = (slowest.max(axis=1) ** STEPS < 0.02) & (drive.low <= 0) & (drive.high >= 0)
        assert near.sum() >= op.out.channels / 2
        ends = op.out.high if sign > 0 else -op.out.low
        assert (sign * y[0] >= 0.9 * ends)[near].all(), op.name
        assert (largest <= reach).all()


@pytest.mark.parametrize("which", range(3))
def test_no_data_saturate_a_proved_program(networks, which):
    program = _programs(networks)[which]
    bounds = {row.name: row.bound for row in certificates(program)}
    assert all(row.proved for row in certificates(program))
    rng = np.random.default_rng(which)
    kind, top = program.input.kind, program.input.size
    highest = top - 1 if kind == "tokens" else 255
    periods = rng.integers(1, 60, 6)
    t = np.arange(240)[None, :, None]
    square = ((t // periods[:, None, None]) % 2) * highest  # (6, 240, 1)
    data = np.repeat(square, program.input.out.channels, axis=2)
    data = data.astype(np.uint8 if kind == "uint8" else np.int64)
    names = tuple(program.recordings)
    run = program.run(data, engine="reference", record=names)
    assert run.saturations == {}
    for name in names:
        owner, dot, _ = name.rpartition(":state_")
        bound = bounds[f"{owner}:state" if dot else name]
        assert np.abs(run.tensors[name]).max() <= bound, name


@pytest.mark.parametrize(
    ("bits", "bound", "expected"),
    # 2^7 / 127, 2^7 / 1, 2^7 / 64, and a bound four times what 8 bits hold
    [(8, 127, 0.0113), (8, 1, 7.0), (8, 0, 7.0), (8, 64, 1.0), (8, 512, -2.0)],
)
def test_headroom(bits, bound, expected):
    assert headroom_bits(bits, bound) == pytest.approx(expected, abs=1e-3)


def test_calibrated_tensors_say_what_is_missing(networks):
    graph = networks.random_graph(0)
    data = networks.random_data(graph.input, 0, batch=4, steps=60)
    from neurossm.compile import CompileOptions

    program = compile_model(graph, options=CompileOptions(scaling="calibrated"), calibration=data)
    rows = certificates(program)
    assert any(not row.proved for row in rows)
    for row in rows:
        assert row.proved == (row.bound <= 2 ** (row.bits - 1) - 1 or row.headroom_bits == 0.0)
        if not row.proved:
            assert row.headroom_bits <= 0
