"""The integer SSM: its recurrence against plain Python, its bounds against worst cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurossm.errors import InputError, LimitError
from neurossm.program import SSM, Interval, Tally, unchecked
from neurossm.program.pole_series import pole_series


def make(**fields: object) -> SSM:
    """Return an SSM of one channel and one mode; the fields replace its own."""
    defaults: dict = {
        "a_re": [[0]],
        "a_im": [[0]],
        "pole_shift": 4,
        "input_shift": [[0]],
        "c_re": [[1]],
        "c_im": [[0]],
        "readout_shift": [0],
        "d": [0],
        "d_shift": [0],
        "state_bits": 12,
    }
    return SSM("ssm", ("u",), unchecked(24, 0, 1), **(defaults | fields))


def run(op: SSM, u: list) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
    """Step an SSM over u (L, H); return y (L, H), both states (L, H, N) and the tally."""
    state, tally = op.start(1), Tally()
    y, re, im = [], [], []
    for now in u:
        state, out = op.step(state, np.array([now]), tally=tally)
        y.append(out[0])
        re.append(state["state_re"][0])
        im.append(state["state_im"][0])
    return np.array(y), np.array(re), np.array(im), dict(tally)


def nearest(p: int, k: int) -> int:
    return p << -k if k < 0 else (2 * p + (1 << k)) >> (k + 1)


def clamp(value: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


def test_impulse_response_by_hand():
    # pole (8 + 4 i) / 16, input 16 once
    op = make(a_re=[[8]], a_im=[[4]], c_re=[[3]], c_im=[[1]], readout_shift=[1])
    _, re, im, clipped = run(op, [[16], [0], [0], [0]])
    # s0 = 16 + 0 i
    # s1 = 8 + 4 i
    # s2: (8*8 - 4*4) / 16 = 3; (8*4 + 4*8) / 16 = 4
    # s3: (8*3 - 4*4) / 16 = 0.5 -> 1; (8*4 + 4*3) / 16 = 2.75 -> 3
    assert re.ravel().tolist() == [16, 8, 3, 1]
    assert im.ravel().tolist() == [0, 4, 4, 3]
    assert clipped == {}
    # y = (3 re - im) / 2: 24; (24 - 4) / 2 = 10; (9 - 4) / 2 = 2.5 -> 3; (3 - 3) / 2 = 0
    assert run(op, [[16], [0], [0], [0]])[0].ravel().tolist() == [24, 10, 3, 0]


def test_both_parts_use_the_old_state():
    op = make(a_re=[[0]], a_im=[[8]])  # the pole is i / 2
    _, re, im, _ = run(op, [[32], [0], [0]])
    # s1 = 16 i; s2 = -8: had im used the new re = 0, im of s1 would be 0
    assert (re.ravel().tolist(), im.ravel().tolist()) == ([32, 0, -8], [0, 16, 0])


def test_a_negative_input_shift_adds_before_the_rounding():
    op = make(a_re=[[8]], input_shift=[[-3]])
    # u * 2^(4 - 3) = 2 u beside 8 s, all over 16: 3 -> 6/16 -> 0; then (0 + 10) / 16 -> 1;
    # then (8 + 0) / 16 = 0.5 -> 1; then (8 - 2) / 16 -> 0
    assert run(op, [[3], [5], [0], [-1]])[1].ravel().tolist() == [0, 1, 1, 0]


def test_states_saturate_and_every_integer_is_counted():
    op = make(a_re=[[0]], a_im=[[15]], state_bits=4)  # states in [-8, 7]
    # step 1: re = 9 -> 7 (one clipped), im = 0
    # step 2: re = 9 -> 7 (clipped), im = 15 * 7 / 16 = 6.56 -> 7
    # step 3: re = -15 * 7 / 16 - 9 = -15.56 -> -16 -> -8 (clipped), im = 7
    y, re, im, clipped = run(op, [[9], [9], [-9]])
    assert (re.ravel().tolist(), im.ravel().tolist()) == ([7, 7, -8], [0, 7, 7])
    assert clipped == {"ssm:state": 3}
    assert y.ravel().tolist() == [7, 7, -8]


def test_the_output_saturates_under_its_own_name():
    op = replace(make(d=[5], d_shift=[-1]), out=unchecked(6, 0, 1))
    # y = u + 10 u = 11 u: 22; 33 -> 31
    y, _, _, clipped = run(op, [[2], [3]])
    assert y.ravel().tolist() == [22, 31]
    assert clipped == {"ssm": 1}


def test_each_mode_is_rounded_before_the_sum():
    fields = {key: [[0, 0, 0]] for key in ("a_re", "a_im", "input_shift", "c_im")}
    op = make(**fields, c_re=[[1, 1, 1]], readout_shift=[1], d=[1], d_shift=[1])
    # u = 1: three modes of 0.5 -> 1 each, and 0.5 -> 1 of the direct path; -1: -0.5 -> 0 each
    assert run(op, [[1], [-1]])[0].ravel().tolist() == [4, 0]


ssm_fields = st.fixed_dictionaries(
    {
        "pole_shift": st.integers(1, 12),
        "angle": st.floats(-3.2, 3.2),
        "radius": st.floats(0, 0.9998),
        "input_shift": st.integers(-12, 4),
        "c": st.tuples(st.integers(-99, 99), st.integers(-99, 99)),
        "readout_shift": st.integers(0, 4),
        "d": st.integers(-99, 99),
        "d_shift": st.integers(-3, 4),
        "state_bits": st.integers(4, 20),
        "bits": st.integers(6, 24),
    }
)


def of_fields(f: dict) -> SSM:
    q = f["radius"] * np.exp(1j * f["angle"]) * 2 ** f["pole_shift"]
    op = make(
        a_re=[[int(q.real)]],
        a_im=[[int(q.imag)]],
        pole_shift=f["pole_shift"],
        input_shift=[[max(f["input_shift"], -f["pole_shift"])]],
        c_re=[[f["c"][0]]],
        c_im=[[f["c"][1]]],
        readout_shift=[f["readout_shift"]],
        d=[f["d"]],
        d_shift=[f["d_shift"]],
        state_bits=f["state_bits"],
    )
    return replace(op, out=unchecked(f["bits"], 0, 1))


@given(ssm_fields, st.lists(st.integers(-200, 200), min_size=1, max_size=25))
def test_steps_are_their_equation_in_python_integers(fields, u):
    op = of_fields(fields)
    a, b, A = int(op.a_re[0, 0]), int(op.a_im[0, 0]), int(op.pole_shift[0, 0])
    k, m = int(op.input_shift[0, 0]), int(op.readout_shift[0])
    c_re, c_im, d, d_shift = (int(v.flat[0]) for v in (op.c_re, op.c_im, op.d, op.d_shift))
    re, im, wanted, clipped = 0, 0, [], {"ssm:state": 0, "ssm": 0}
    for now in u:
        exact = nearest(a * re - b * im + now * 2 ** (A + k), A), nearest(a * im + b * re, A)
        re, im = (clamp(part, op.state_bits) for part in exact)
        clipped["ssm:state"] += (re, im) != exact and (re != exact[0]) + (im != exact[1])
        y = nearest(c_re * re - c_im * im, m) + nearest(d * now, d_shift)
        clipped["ssm"] += y != clamp(y, op.out.bits)
        wanted.append([clamp(y, op.out.bits), re, im])
    y, s_re, s_im, tally = run(op, [[now] for now in u])
    got = np.stack([y[:, 0], s_re[:, 0, 0], s_im[:, 0, 0]], axis=1).tolist()
    assert got == wanted
    assert tally == {name: count for name, count in clipped.items() if count}


@settings(max_examples=40)
@given(ssm_fields, st.integers(-50, 50), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_bounds_are_never_exceeded(fields, low, span, seed):
    op = of_fields(fields)
    u_range = Interval([low], [low + span])
    re, im = op.state_bounds(u_range).values()
    y_range = op.bounds(u_range)
    wide = replace(op, out=unchecked(60, 0, 1))
    rng = np.random.default_rng(seed)
    q = (op.a_re + 1j * op.a_im)[0, 0] / 2 ** int(op.pole_shift[0, 0])
    steps = 120
    powers = q ** np.arange(steps)[::-1]
    inputs = [rng.integers(low, low + span + 1, steps), np.where(powers.real > 0, low + span, low)]
    inputs += [np.where(powers.imag > 0, low + span, low)]
    inputs += [np.where(powers.real < 0, low + span, low)]
    for u in inputs:
        y, s_re, s_im, tally = run(wide, [[int(now)] for now in u])
        assert y_range.low[0] <= y.min()
        assert y.max() <= y_range.high[0]
        if re.within(op.state_bits) and im.within(op.state_bits):
            assert "ssm:state" not in tally
            for part, states in ((re, s_re), (im, s_im)):
                assert part.low[0, 0] <= states.min()
                assert states.max() <= part.high[0, 0]


def worst_case(q: complex, steps: int, low: int, high: int, part: str) -> np.ndarray:
    """Return the inputs in [low, high] that drive a part of the state highest at the last step.

    The state there is the sum of u_t q^(last - t): its part is largest where u is high for positive
    parts of the power and low for negative ones.
    """
    powers = q ** np.arange(steps)[::-1]
    return np.where(getattr(powers, part) > 0, high, low)


def drive(op: SSM, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Run a one-channel SSM whose modes get inputs (L, N) one each; return the states (L, N)."""
    u = inputs[:, :, None]  # (L, N as batch, H = 1)
    state, tally = op.start(u.shape[1]), Tally()
    re = np.empty((len(u), u.shape[1]), np.int64)
    im = np.empty_like(re)
    for t, now in enumerate(u):
        state, _ = op.step(state, now, tally=tally)
        diagonal = np.arange(u.shape[1])
        re[t] = state["state_re"][diagonal, 0, diagonal]
        im[t] = state["state_im"][diagonal, 0, diagonal]
    return re, im, dict(tally)


@pytest.mark.parametrize(("low", "high"), [(-400, 400), (0, 800), (-700, 100)])
@pytest.mark.parametrize("part", ["real", "imag"])
def test_worst_case_inputs_nearly_reach_the_bound_of_a_state_and_never_exceed_it(low, high, part):
    rng = np.random.default_rng(3)
    modes, A = 8, 15
    # damping from 1/2 down to 2^-11: the state forgets within a few times 2^11 steps
    radius = 1 - 2.0 ** -rng.uniform(1, 11, modes)
    angle = rng.uniform(0.05, np.pi - 0.05, modes)
    a = radius * np.exp(1j * angle) * 2**A
    a_re, a_im = (np.trunc(axis).astype(int) for axis in (a.real, a.imag))
    q = (a_re + 1j * a_im) / 2**A
    zeros = np.zeros((1, modes), int)
    op = make(
        a_re=[a_re], a_im=[a_im], pole_shift=A, input_shift=zeros, c_re=zeros, c_im=zeros,
        state_bits=40,
    )  # fmt: skip
    bounds = dict(
        zip(("real", "imag"), op.state_bounds(Interval([low], [high])).values(), strict=True)
    )
    steps = int(6 / (1 - np.abs(q).max()))
    inputs = np.stack([worst_case(pole, steps, low, high, part) for pole in q], axis=1)
    states = dict(zip(("real", "imag"), drive(op, inputs)[:2], strict=True))
    reached, bound = states[part][-1], bounds[part].high[0]
    assert (reached > 0.9 * bound).all(), reached / bound
    for u in (inputs, low + high - inputs, inputs[::-1]):
        for name, seen in zip(("real", "imag"), drive(op, u)[:2], strict=True):
            assert (seen.max(axis=0) <= bounds[name].high[0]).all()
            assert (seen.min(axis=0) >= bounds[name].low[0]).all()


def reachable(op: SSM, inputs: np.ndarray) -> np.ndarray:
    """Return every state (K, 2) that a one-mode SSM can reach by inputs chosen at each step."""
    known = np.zeros((1, 2), np.int64)
    new = known
    while len(new):
        state = {
            part: np.repeat(new[:, i], len(inputs))[:, None, None]
            for i, part in enumerate(("state_re", "state_im"))
        }
        state, _ = op.step(state, np.tile(inputs, len(new))[:, None], tally=Tally())
        found = np.stack([state["state_re"][:, 0, 0], state["state_im"][:, 0, 0]], axis=1)
        before = {tuple(row) for row in known.tolist()}
        new = np.array(sorted({tuple(row) for row in found.tolist()} - before)).reshape(-1, 2)
        known = np.concatenate([known, new])
    return known


@pytest.mark.parametrize(("shift", "inputs"), [(0, [-1, 0, 1]), (-1, [0, 1]), (1, [-1, 0])])
def test_no_choice_of_inputs_leaves_the_bounds_and_rounding_needs_its_share(shift, inputs):
    """Search all reachable states of all poles on a coarse grid, exhaustively."""
    beyond_exact = 0
    for a_re in range(-7, 8):
        for a_im in range(8):
            if a_re**2 + a_im**2 > 50:
                continue
            op = make(a_re=[[a_re]], a_im=[[a_im]], pole_shift=3, input_shift=[[shift]])
            states = reachable(op, np.array(inputs))
            bounds = op.state_bounds(Interval([min(inputs)], [max(inputs)])).values()
            series = pole_series(op.a_re, op.a_im, op.pole_shift)
            slack = 0.5 * (series.re_total + series.im_total)[0, 0]
            for part, column in zip(bounds, states.T, strict=True):
                assert part.low[0, 0] <= column.min(), (a_re, a_im)
                assert column.max() <= part.high[0, 0], (a_re, a_im)
                beyond_exact += column.max() > part.high[0, 0] - slack
    assert beyond_exact > 5  # exact arithmetic would not get there: the share of rounding is real


def test_nearly_undamped_poles_reach_their_bound():
    # 1 - |q| = 2^-15 on the real axis: the state of a constant input climbs to u 2^15
    op = make(a_re=[[2**15 - 1]], pole_shift=15, state_bits=40)
    re, _ = op.state_bounds(Interval([0], [1000])).values()
    exact = 1000 * 2**15
    assert exact <= re.high[0, 0] < 1.002 * exact + 2**15
    state = {"state_re": np.array([[[exact - 40_000]]]), "state_im": np.array([[[0]]])}
    for _ in range(100):  # it goes on climbing there, and never beyond the bound
        before = state["state_re"][0, 0, 0]
        state, _ = op.step(state, np.array([[1000]]), tally=Tally())
        assert before < state["state_re"][0, 0, 0] <= re.high[0, 0]


def test_output_bounds_are_approached_by_the_sign_pattern_of_the_response():
    rng = np.random.default_rng(5)
    A, modes = 12, 3
    q = 0.98 * np.exp(1j * rng.uniform(0.2, 3, modes))
    a_re, a_im = (np.trunc(part * 2**A).astype(int) for part in (q.real, q.imag))
    q = (a_re + 1j * a_im) / 2**A
    c = rng.integers(-999, 999, (2, modes))
    op = make(
        a_re=[a_re], a_im=[a_im], pole_shift=A, input_shift=[[3, 4, 5]], c_re=[c[0]], c_im=[c[1]],
        readout_shift=[2], d=[700], d_shift=[1], state_bits=40,
    )  # fmt: skip
    op = replace(op, out=unchecked(60, 0, 1))
    steps = np.arange(400)
    scale = 2.0 ** np.array([3, 4, 5])
    response = ((c[0] + 1j * c[1]) * scale / 4 * q ** steps[:, None]).real.sum(axis=1)
    response[0] += 700 / 2
    u = np.where(response[::-1] > 0, 900, -900)
    bound = op.bounds(Interval([-900], [900]))
    y = run(op, [[int(now)] for now in u])[0]
    assert 0.9 * bound.high[0] < y[-1] <= bound.high[0]
    y = run(op, [[-int(now)] for now in u])[0]
    assert 0.9 * bound.low[0] > y[-1] >= bound.low[0]


@given(st.integers(2, 14), st.floats(0, 0.9999), st.floats(-3.2, 3.2))
@settings(max_examples=60)
def test_pole_series_are_upper_bounds_and_tight(pole_shift, radius, angle):
    q = radius * np.exp(1j * angle) * 2**pole_shift
    a_re, a_im = int(q.real), int(q.imag)
    if a_re**2 + a_im**2 >= 4**pole_shift:
        a_re -= np.sign(a_re)
    series = pole_series(np.array([[a_re]]), np.array([[a_im]]), pole_shift)
    # An independent sum: plain complex products until 1e-6 of the first term is left.
    pole, power = complex(a_re, a_im) / 2**pole_shift, 1 + 0j
    sums = {"re_positive": 0.0, "re_negative": 0.0, "im_positive": 0.0, "im_negative": 0.0}
    while abs(power) > 1e-6:
        for part, value in (("re", power.real), ("im", power.imag)):
            sums[f"{part}_{'positive' if value > 0 else 'negative'}"] += abs(value)
        power *= pole
    rest = abs(power) / (1 - abs(pole))
    total = sums["re_positive"] + sums["re_negative"]
    for name, value in sums.items():
        bound = getattr(series, name)[0, 0]
        assert value * (1 - 1e-12) <= bound
        assert bound <= value + rest + 1.1e-3 * total  # what the sum leaves out is a thousandth


def test_real_pole_series_in_closed_form():
    # q = -1/2: Re q^j is 1, -1/2, 1/4, ...: positive 1 / (1 - 1/4) = 4/3, negative 2/3
    series = pole_series(np.array([[-8]]), np.array([[0]]), 4)
    assert series.re_positive[0, 0] == pytest.approx(4 / 3, abs=2e-3)
    assert series.re_negative[0, 0] == pytest.approx(2 / 3, abs=2e-3)
    assert series.im_positive[0, 0] == pytest.approx(0, abs=2e-3)
    assert series.re_total[0, 0] >= 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a_re": [[16]]}, "outside the unit circle"),
        ({"a_re": [[12]], "a_im": [[12]]}, "outside the unit circle"),  # 288 > 255
        ({"a_re": [[2**40]]}, "outside the unit circle"),  # its square would overflow
        ({"a_re": [[-(2**61)]]}, "outside the unit circle"),
        ({"a_re": [[2**15]], "a_im": [[1]], "pole_shift": 15}, "outside the unit circle"),
        ({"a_re": [[2**30 - 1]], "pole_shift": 30}, "too near"),  # 1 - |q|^2 = 2^-29
        ({"pole_shift": 0}, "must be 1 to 30"),
        ({"pole_shift": 31}, "must be 1 to 30"),
        ({"state_bits": 1}, "must be 2 to 40"),
        ({"state_bits": 41}, "must be 2 to 40"),
        ({"input_shift": [[-5]]}, "input_shift outside"),
        ({"input_shift": [[59]]}, "input_shift outside"),  # 59 + 4 > 62
        ({"readout_shift": [-1]}, "negative readout_shift"),
        ({"d_shift": [63]}, "63 is outside"),
        ({"c_re": [[1, 2]]}, "shape"),
        ({"c_re": [[2**62]]}, "is outside"),
        ({"c_re": [[np.inf]]}, "NaN or infinite"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(InputError, match=message):
        make(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"input_shift": [[40]]},  # u 2^(4 + 40) with 30-bit u
        {"c_re": [[2**40]], "state_bits": 40},
        {"d": [2**40]},
        {"d": [1], "d_shift": [-40]},
        {  # each product fits, their sum over the modes does not
            **{key: [[0] * 5] for key in ("a_re", "a_im", "input_shift", "c_im")},
            "c_re": [[2**31 - 1] * 5],
            "state_bits": 39,
        },
    ],
)
def test_bounds_refuse_what_64_bits_could_not_compute(fields):
    with pytest.raises(LimitError, match=r"ssm: .*can reach 2\^[67]"):
        make(**fields).bounds(Interval.of_bits(30, 1))
