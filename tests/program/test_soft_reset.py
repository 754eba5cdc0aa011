"""Neurons with soft reset: by hand, against Python integers, and within their bounds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurossm import program as p
from neurossm.errors import InputError
from neurossm.program.feedback_series import feedback_series
from neurossm.program.soft_reset import SoftReset
from neurossm.program.work import Work


def one(value: int) -> np.ndarray:
    return np.array([value])


def adlif(
    decay: tuple[int, int],
    slow: tuple[int, int, int],
    jump: int,
    threshold: int,
    reset: int,
    bits: int = 24,
) -> p.AdLIF:
    """Return one neuron: decay and shift; adaptation decay, sensitivity and shift."""
    values = (*decay, slow[0], slow[1], slow[2], jump, threshold, reset)
    return p.AdLIF("n", ("x",), p.unchecked(2, 0, 1), *map(one, values), bits)


def resonate(
    pole: tuple[int, int, int], threshold: int, reset: tuple[int, int], bits: int = 24
) -> p.ResonateFire:
    values = (*pole, threshold, *reset)
    return p.ResonateFire("n", ("x",), p.unchecked(2, 0, 1), *map(one, values), bits)


def run(op: SoftReset, inputs: list[int]) -> tuple[list[int], list[tuple[int, int]], int]:
    state, tally = op.start(1), p.Tally()
    spikes, states = [], []
    for x in inputs:
        state, s = op.step(state, np.array([[x]]), tally=tally)
        spikes.append(int(s[0, 0]))
        first, second = (int(state[name.name][0, 0]) for name in op.states)
        states.append((first, second))
    return spikes, states, sum(dict(tally).values())


def test_adlif_by_hand() -> None:
    # decay 1/2, adaptation decay 3/4, sensitivity 1/4, jump 2, threshold 10, reset 8
    op = adlif((1, 1), (3, 1, 2), 2, 10, 8)
    # u = 12 > 10: v = 4, w = rshift(12, 2) + 2 = 5
    # u = rshift(4 + 5, 1) - 5 + 6 = 5 - 5 + 6 = 6: v = 6, w = rshift(15 + 6, 2) = floor(23 / 4) = 5
    # u = rshift(11, 1) - 5 - 9 = 6 - 14 = -8: v = -8, w = rshift(15 - 8, 2) = floor(9 / 4) = 2
    assert run(op, [12, 6, -9]) == ([1, 0, 0], [(4, 5), (6, 5), (-8, 2)], 0)


def test_resonate_fire_by_hand() -> None:
    # pole (3 + 2 i) / 4, threshold 10, reset 8 + 3 i
    op = resonate((3, 2, 2), 10, (8, 3))
    # u = 12: fires, z = 4 - 3 i
    # u_re = rshift(12 + 6, 2) + 1 = 5 + 1 = 6 (18 / 4 = 4.5, up), u_im = rshift(8 - 9, 2) = 0
    # u_re = rshift(18, 2) + 0 = 5, u_im = rshift(12, 2) = 3
    assert run(op, [12, 1, 0]) == ([1, 0, 0], [(4, -3), (6, 0), (5, 3)], 0)


def test_at_the_threshold_they_wait() -> None:
    assert run(adlif((0, 0), (0, 0, 0), 0, 10, 10), [10, 11])[0] == [0, 1]
    assert run(resonate((0, 0, 0), 10, (10, 0)), [10, 11])[0] == [0, 1]


def test_clips_are_counted_one_by_one() -> None:
    # 8 bits: u = 300 becomes 127 (one), fires; v = 127 + 10 becomes 127 (two); w = 127 + 9 (three)
    assert run(adlif((1, 0), (0, 1, 0), 9, 100, -10, 8), [300]) == ([1], [(127, 127)], 3)
    assert run(resonate((1, 0, 0), 100, (-10, 0), 8), [300]) == ([1], [(127, 0)], 2)


def rshift(value: int, k: int) -> int:
    return (value + ((1 << k) >> 1)) >> k


shifts = st.integers(0, 10)
small = st.integers(-300, 300)


@st.composite
def neurons(draw: Callable) -> SoftReset:
    k, j, bits = draw(shifts), draw(shifts), draw(st.integers(4, 20))
    if draw(st.booleans()):
        decays = draw(st.integers(0, 1 << k)), draw(st.integers(0, 1 << j))
        slow = (decays[1], draw(st.integers(-1 << j, 1 << j)), j)
        return adlif((decays[0], k), slow, draw(small), draw(small), draw(small), bits)
    parts = st.integers(-1 << k, 1 << k)
    pole = (draw(parts), draw(parts), k)
    return resonate(pole, draw(small), (draw(small), draw(small)), bits)


@settings(deadline=None, max_examples=60)
@given(neurons(), st.lists(st.integers(-500, 500), min_size=1, max_size=30))
def test_steps_are_their_equations_and_stay_within_their_bounds(
    op: SoftReset, inputs: list[int]
) -> None:
    x_range = p.Interval(np.array([min(inputs)]), np.array([max(inputs)]))
    proved, bounds = op.states_proved(x_range), op.state_bounds(x_range)
    reach = [(int(b.low[0]), int(b.high[0])) for b in bounds.values()]
    limit, clips = 1 << (op.state_bits - 1), 0

    def sat(value: int) -> int:
        nonlocal clips
        clipped = min(max(value, -limit), limit - 1)
        clips += clipped != value
        return clipped

    f = {name: int(np.ravel(value)[0]) for name, value in vars(op).items() if name[0] != "_"
         and isinstance(value, np.ndarray)}  # fmt: skip
    a, b, spikes, states = 0, 0, [], []
    for x in inputs:
        if isinstance(op, p.AdLIF):
            exact = (rshift(f["decay"] * (a + b), f["decay_shift"]) - b + x, b)
            u = sat(exact[0])
            s = int(u > f["threshold"])
            drawn = f["adaptation_decay"] * b + f["sensitivity"] * u
            after = (u - s * f["reset"], rshift(drawn, f["adaptation_shift"]) + s * f["jump"])
        else:
            k = f["pole_shift"]
            turned = f["a_re"] * a - f["a_im"] * b, f["a_im"] * a + f["a_re"] * b
            exact = (rshift(turned[0], k) + x, rshift(turned[1], k))
            u, v = sat(exact[0]), sat(exact[1])
            s = int(u > f["threshold"])
            after = (u - s * f["reset_re"], v - s * f["reset_im"])
        for values in (exact, after) if proved else ():
            assert all(low <= v <= high for v, (low, high) in zip(values, reach, strict=True))
        a, b = sat(after[0]), sat(after[1])
        spikes.append(s)
        states.append((a, b))
    assert run(op, inputs) == (spikes, states, clips)
    assert clips == 0 or not proved


def test_the_series_hold_every_sequence_of_spikes_and_are_nearly_reached() -> None:
    # M = 0.5 (turned by 0.9), n = (1, 0): the sums of positive and negative parts, by brute force
    turn = 0.5 * np.array([[np.cos(0.9), -np.sin(0.9)], [np.sin(0.9), np.cos(0.9)]])
    powers = [np.linalg.matrix_power(turn, k)[:, 0] for k in range(60)]
    expected = [np.sum([np.maximum(sign * z, 0) for z in powers], axis=0) for sign in (1, -1)]
    found = feedback_series(turn[None], np.array([[[1.0], [0.0]]]))
    for exact, series in zip(expected, found, strict=True):
        assert (series[0, :, 0] >= exact).all()
        assert np.allclose(series[0, :, 0], exact, rtol=2e-3, atol=2e-3)


def test_what_does_not_vanish_has_no_sum() -> None:
    for matrix in (np.eye(2), 1.01 * np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])):
        assert np.isinf(feedback_series(matrix[None], np.ones((1, 2, 1)))[0]).all()
    op = resonate((1, 0, 0), 10, (10, 0))
    assert not op.states_proved(p.Interval(one(0), one(1)))


def test_the_worst_spikes_come_near_the_bounds() -> None:
    # a spike at every step lowers v by 8 decayed: v >= -8 / (1 - 3/4) = -32 but for rounding
    op = adlif((3, 2), (0, 0, 0), 0, -(1 << 20), 8)
    bound = op.state_bounds(p.Interval(one(0), one(0)))["state_v"]
    lowest = min(v for v, _ in run(op, [0] * 40)[1])
    assert bound.low[0] <= lowest <= bound.low[0] + 5
    assert bound.high[0] <= 3  # nothing raises it but rounding: 1/2 / (1 - 3/4)


def test_a_clip_in_one_state_leaves_nothing_known_of_the_other() -> None:
    op = resonate((3, 2, 2), 5, (8, 0), 6)
    bounds = op.state_bounds(p.Interval(one(-30), one(30)))
    assert [int(b.high[0]) for b in bounds.values()] == [64, 64]
    # every sequence of extreme inputs stays within that
    for inputs in product((-30, 30), repeat=6):
        assert all(abs(v) <= 32 for pair in run(op, list(inputs))[1] for v in pair)


def test_work_storage_and_messages() -> None:
    op = adlif((31, 5), (15, 1, 4), 2, 10, 8)
    # decay, adaptation decay, sensitivity; v + w, - w, + x, >, - reset, the sum in w', + jump
    assert op.work() == Work(state_updates=2, state_multiplies=3, state_adds=7)
    assert (op.stored("decay")[0], op.stored("adaptation_decay")[0]) == (1, 1)
    ringing = resonate((31, 4, 5), 10, (8, 0))
    # four products; their difference and sum, + x, >, and two resets
    assert ringing.work() == Work(state_updates=1, state_multiplies=4, state_adds=6)
    assert ringing.stored("a_re")[0] == 1
    assert (op.message_bits, ringing.message_bits) == (1, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adlif((9, 3), (0, 0, 0), 0, 0, 0), r"decay outside \[0, 2\^decay_shift\]"),
        (lambda: adlif((0, 31), (0, 0, 0), 0, 0, 0), "decay_shift must be 0 to 30"),
        (lambda: adlif((0, 0), (-1, 0, 3), 0, 0, 0), "adaptation_decay outside"),
        (lambda: adlif((0, 0), (1, 17, 3), 0, 0, 0), "sensitivity outside"),
        (lambda: adlif((0, 0), (0, 0, 0), 0, 0, 0, 41), "state_bits 41, must be 2 to 40"),
        (lambda: resonate((9, 0, 2), 0, (0, 0)), r"a_re outside \[-2, 2\]"),
        (lambda: resonate((0, 0, -1), 0, (0, 0)), "pole_shift must be 0 to 30"),
    ],
)
def test_bad_fields(make: Callable[[], SoftReset], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
