"""The models' arithmetic by hand, in integers and in real numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.errors import InputError
from neurossm.lava import (
    GELU,
    Decoder,
    DynamicTernary,
    Logistic,
    Modes,
    Normalise,
    Product,
    Rescale,
    Segments,
    Sum,
    Ternary,
    fixed,
    floating,
    kernels,
)
from neurossm.lava.record import require_integers
from neurossm.program import LayerNorm, Tally, unchecked


def ints(*values):
    return np.array(values, dtype=np.int64)


def test_rescale_rounds_halves_up_and_shifts_left_for_negative_shifts():
    # 3*5 = 15 -> 15/4 = 3.75 -> 4; 3*-2 = -6 -> -1.5 -> -1; 7*1 << 2 = 28; then the offset
    parameters = Rescale(gain=[3, 3, 7], shift=[2, 2, -2], offset=[10, 0, -1])
    y, saturated = fixed.rescale(parameters, ints(5, -2, 1))
    assert y.tolist() == [14, -1, 27]
    assert saturated == 0


def test_rescale_saturates_to_its_width_and_counts():
    # 4 bits hold -8..7
    y, saturated = fixed.rescale(Rescale(gain=[1, 1, 1, 1], bits=4), ints(7, 8, -8, -9))
    assert y.tolist() == [7, 7, -8, -8]
    assert saturated == 2


def test_segments_extend_beyond_both_ends():
    # origin -4, width 4: segment 0 is [-4, 0), segment 1 [0, 4) and beyond
    parameters = Segments(origin=-4, width=2, base=[10, 20], slope=[2, -3], slope_shift=1)
    # -6: i=0, dx=-2 -> 10 + rshift(-4, 1) = 8;  -1: dx=3 -> 10 + 3 = 13
    #  1: i=1, dx=1 -> 20 + rshift(-3, 1) = 20 - 1 = 19;  9: dx=9 -> 20 + rshift(-27, 1) = 20 - 13
    y, saturated = fixed.lookup(parameters, ints(-6, -1, 1, 9))
    assert y.tolist() == [8, 13, 19, 7]
    assert saturated == 0


def test_product_and_sum():
    # 5*-3 = -15 -> /2 = -7.5 -> -7;  100*100 = 10000 in 8 bits -> 127
    z, saturated = fixed.multiply(Product(shift=[1, 0], bits=8), ints(5, 100), ints(-3, 100))
    assert (z.tolist(), saturated) == ([-7, 127], 1)
    z, saturated = fixed.add(Sum(bits=8), ints(100, -100), ints(27, -29))
    assert (z.tolist(), saturated) == ([127, -128], 1)


def test_ternary_compares_strictly_on_both_sides():
    parameters = Ternary([5, 5, 5, 5, 5, 0, 0])
    assert fixed.ternary(parameters, ints(6, 5, 0, -5, -6, 1, 0)).tolist() == [1, 0, 0, 0, -1, 1, 0]
    got = floating.ternary(Ternary([0.5, 0.5, 0.5]), np.array([0.6, -0.5, -0.51]))
    assert got.tolist() == [1.0, 0.0, -1.0]
    with pytest.raises(InputError, match="threshold -1 is negative"):
        Ternary([3, -1])


def test_dynamic_threshold_follows_the_largest_magnitude():
    # half of 8: 4 is not beyond it, -5 is
    got = floating.ternary(DynamicTernary(0.5), np.array([4.0, -8.0, 4.5, -5.0]))
    assert got.tolist() == [0, -1, 1, -1]


def test_layer_norm_by_hand():
    # x = 3, 1: S = 4, d = 2*3 - 4 = 2 and -2; V = 8 (eps 0), so n = 2 / sqrt(8) 2^20 = 741455
    # up to 2^-15 of it; gain 3 / 2^20 makes 2.12, plus 10
    parameters = Normalise([3, 3], [20, 20], [10, 10], 0)
    y, saturated = fixed.normalise(parameters, ints(3, 1))
    assert (y.tolist(), saturated) == ([12, 8], 0)
    # equal channels have no deviation: the offset alone; in 4 bits 10 is clipped to 7
    y, saturated = fixed.normalise(Normalise([3, 3], 20, [10, 0], 0, bits=4), ints(9, 9))
    assert (y.tolist(), saturated) == ([7, 0], 1)


@st.composite
def normalisations(draw):
    """Draw x, gain, shift, offset of a few channels, eps and a width."""
    channels = draw(st.sampled_from([1, 2, 3, 5, 64]))

    def numbers(low, high):
        return draw(st.lists(st.integers(low, high), min_size=channels, max_size=channels))

    reach = draw(st.sampled_from([0, 1, 3, 1000, 2**19, 2**23, 2**31 - 1, 2**45]))
    eps = draw(st.one_of(st.just(0), st.integers(0, 2**20), st.integers(0, 2**52 - 1)))
    x, gain = numbers(-reach, reach), numbers(-(2**15), 2**15)
    return x, gain, numbers(-4, 24), numbers(-(2**20), 2**20), eps, draw(st.integers(4, 40))


@given(normalisations())
def test_layer_norm_is_the_operation_of_programs(drawn):
    x, gain, shift, offset, eps, bits = drawn
    tally = Tally()
    op = LayerNorm("n", ("x",), unchecked(bits, 0, len(x)), gain, shift, offset, eps)
    _, expected = op.step({}, np.array([x]), tally=tally)
    y, saturated = fixed.normalise(Normalise(gain, shift, offset, eps, bits), ints(*x))
    assert y.tolist() == expected[0].tolist()
    assert saturated == sum(tally.values())


def test_floating_layer_norm_is_the_usual_one():
    # of a model's gain g, bias b, eps e: gain = g sqrt(H), shift 20, offset b, eps = e H^3
    rng = np.random.default_rng(2)
    x, g, b, e = rng.normal(size=5), rng.normal(size=5), rng.normal(size=5), 1e-3
    got = floating.normalise(Normalise(g * 5**0.5, 20, b, e * 125), x)
    expected = g * (x - x.mean()) / np.sqrt(x.var() + e) + b
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert floating.normalise(Normalise([2.0], 20, [3.0], 0.0), np.array([7.0])).tolist() == [3.0]


def test_gelu_is_x_times_the_normal_distribution_function():
    x = np.array([-40.0, -1.0, 0.0, 0.5, 40.0])
    expected = [v * math.erfc(-v / 2**0.5) / 2 for v in x]
    np.testing.assert_allclose(floating.lookup(GELU(), x), expected, rtol=1e-14, atol=0)


def test_ssm_step_by_hand():
    # one channel, one mode: a = 3 + i (A = 2), k = -1, c = 2 - i (m = 1), d = 1 (shift 1)
    modes = Modes([[3]], [[1]], [[2]], [[-1]], [1], 2, [[-1]], [1], [1])
    re, im = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64)
    # u = 3: kick 3 << 1 = 6; s = (rshift(6, 2), 0) = (2, 0)
    #        y = rshift(2*2, 1) + rshift(3, 1) = 2 + 2 = 4
    y, *_ = fixed.step(modes, ints(3), re, im)
    assert (re.item(), im.item(), y.item()) == (2, 0, 4)
    # u = -2: kick -4; s_re = rshift(6 - 4, 2) = 1, s_im = rshift(2, 2) = 1
    #        y = rshift(2*1 + 1*1, 1) + rshift(-2, 1) = 2 - 1 = 1
    y, *_ = fixed.step(modes, ints(-2), re, im)
    assert (re.item(), im.item(), y.item()) == (1, 1, 1)
    # u = 0: s_re = rshift(3 - 1, 2) = 1, s_im = rshift(3 + 1, 2) = 1; y = rshift(3, 1) = 2
    y, *_ = fixed.step(modes, ints(0), re, im)
    assert (re.item(), im.item(), y.item()) == (1, 1, 2)


def test_ssm_step_counts_saturated_states_and_outputs():
    # states of 4 bits hold 7 at most: u = 10 enters unscaled; y = 7*3 = 21 in 5 bits -> 15
    modes = Modes([[0]], [[0]], [[3]], [[0]], [0], 2, 0, 0, 0, state_bits=4, bits=5)
    re, im = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64)
    y, states, outputs = fixed.step(modes, ints(10), re, im)
    assert (re.item(), y.item(), states, outputs) == (7, 15, 1, 1)


def test_decoder_divides_to_nearest_and_halves_up():
    # W total = 7, n = 2, q = 0: 7/2 = 3.5 -> 4; -7/2 = -3.5 -> -3; bias is per step
    logits, _ = fixed.decode(Decoder([[1], [-1], [0]], [0, 0, 5]), ints(7), 2)
    assert logits.tolist() == [4, -3, 5]
    # q = 1 halves once more: 7/4 = 1.75 -> 2
    logits, _ = fixed.decode(Decoder([[1]], [0], shift=1), ints(7), 2)
    assert logits.tolist() == [2]
    logits, saturated = fixed.decode(Decoder([[100]], [0], bits=8), ints(7), 1)
    assert (logits.tolist(), saturated) == ([127], 1)


def test_floating_forms_are_the_same_equations_unrounded():
    assert floating.rescale(Rescale([3, 3], [2, -1], [1, 0]), np.array([5.0, 1.0])).tolist() == [
        4.75,
        6.0,
    ]
    segments = Segments(origin=-1.0, width=-1, base=[0.0, 2.0], slope=[1.0, 4.0])
    # segments [-1, -.5) and [-.5, 0): at -.75, dx .25 -> .25; at .5, dx 1 -> 6
    assert floating.lookup(segments, np.array([-0.75, 0.5])).tolist() == [0.25, 6.0]
    assert floating.multiply(Product([1]), np.array([3.0]), np.array([5.0])).tolist() == [7.5]
    assert floating.decode(Decoder([[2.0]], [1.0]), np.array([6.0]), 3).tolist() == [5.0]
    assert floating.lookup(Logistic(), np.array([0.0, -800.0, 800.0])).tolist() == [0.5, 0.0, 1.0]


def test_floating_ssm_step_is_complex_arithmetic():
    rng = np.random.default_rng(1)
    a, c = (rng.normal(size=(3, 2)) + 1j * rng.normal(size=(3, 2)) for _ in range(2))
    d, u = rng.normal(size=3), rng.normal(size=(4, 3))
    modes = floating.coefficients(Modes(a.real, a.imag, c.real, c.imag, d))
    re, im, s = np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2), complex)
    for t in range(4):
        s = a * s + u[t][:, None]
        y = floating.step(modes, u[t], re, im)
        np.testing.assert_allclose(y, (c * s).sum(axis=1).real + d * u[t], rtol=1e-13)


def test_integers_are_required_for_fixed_point():
    require_integers(Rescale([3]), Sum())
    with pytest.raises(InputError, match=r"Rescale\.gain holds float64"):
        require_integers(Rescale([1.5]))
    for kind in (Logistic(), GELU()):
        with pytest.raises(InputError, match=r"has no fixed_pt form; use Segments"):
            require_integers(kind)
    with pytest.raises(InputError, match="use Ternary with a static threshold"):
        require_integers(DynamicTernary(0.15))
    with pytest.raises(InputError, match=r"Normalise\.eps holds float64"):
        require_integers(Normalise([1], 0, 0, 0.5))


def test_kernels_refuse_floats_even_unchecked():
    with pytest.raises(TypeError):
        fixed.rescale(Rescale([1.5]), ints(1))


def test_kernels_compile_where_nothing_can_be_cached(monkeypatch):
    def njit(signature, cache=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(kernels.numba, "njit", njit)
    assert kernels.jit("int64(int64)")(abs)(-3) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rescale([1, 2], shift=[1, 2, 3]), r"shift: shape \(3,\), expected \(2,\)"),
        (lambda: Modes([1, 2], [1, 2], [1, 2], [1, 2], [1]), r"a_re: shape \(2,\)"),
        (lambda: Modes([[1]], [[1, 2]], [[1]], [[1]], [1]), r"a_im: shape \(1, 2\)"),
        (lambda: Decoder([1, 2], [1]), r"weight: shape \(2,\)"),
    ],
)
def test_wrong_shapes_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
