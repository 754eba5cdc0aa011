"""Compiled operations by hand, and against the definition for every operation there is."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.lava.stepping import initial_states, stepper
from neurossm.program import (
    SSM,
    Affine,
    LayerNorm,
    Op,
    Product,
    Table,
    Tally,
    Ternary,
    unchecked,
)
from neurossm.program.expression import Expression
from neurossm.program.fields import Symbols


def ints(*values):
    return np.array(values, dtype=np.int64)


def step(op, *inputs, states=None):
    """Return the output as a list, and what was clipped."""
    counts = Tally()
    states = initial_states(op) if states is None else states
    return stepper(op)(inputs, states, counts).tolist(), dict(counts)


def test_affine_rounds_halves_up_and_shifts_left_for_negative_shifts():
    # 3*5 = 15 -> 15/4 = 3.75 -> 4; 3*-2 = -6 -> -1.5 -> -1; 7*1 << 2 = 28; then the offset
    op = Affine("a", ("x",), unchecked(32, 0, 3), [3, 3, 7], [2, 2, -2], [10, 0, -1])
    assert step(op, ints(5, -2, 1)) == ([14, -1, 27], {})


def test_outputs_saturate_to_their_width_and_are_counted():
    # 4 bits hold -8..7
    op = Affine(
        "a", ("x",), unchecked(4, 0, 4), np.ones(4, int), np.zeros(4, int), np.zeros(4, int)
    )
    assert step(op, ints(7, 8, -8, -9)) == ([7, 7, -8, -8], {"a": 2})


def test_tables_extend_beyond_both_ends():
    # origin -4, width 4: segment 0 is [-4, 0), segment 1 [0, 4) and beyond
    op = Table("t", ("x",), unchecked(32, 0, 4), -4, 2, [10, 20], [2, -3], 1)
    # -6: i=0, dx=-2 -> 10 + rshift(-4, 1) = 8;  -1: dx=3 -> 10 + 3 = 13
    #  1: i=1, dx=1 -> 20 + rshift(-3, 1) = 20 - 1 = 19;  9: dx=9 -> 20 + rshift(-27, 1) = 20 - 13
    assert step(op, ints(-6, -1, 1, 9)) == ([8, 13, 19, 7], {})


def test_product_and_ternary():
    # 5*-3 = -15 -> /2 = -7.5 -> -7;  100*100 = 10000 in 8 bits -> 127
    op = Product("p", ("x", "y"), unchecked(8, 0, 2), [1, 0])
    assert step(op, ints(5, 100), ints(-3, 100)) == ([-7, 127], {"p": 1})
    op = Ternary("s", ("x",), unchecked(2, 0, 7), [5, 5, 5, 5, 5, 0, 0])
    assert step(op, ints(6, 5, 0, -5, -6, 1, 0))[0] == [1, 0, 0, 0, -1, 1, 0]


def ssm(bits=32, state_bits=24, **fields):
    """One channel, one mode: a = 3 + i (A = 2), k = -1, c = 2 - i (m = 1), d = 1 (shift 1)."""
    given = {
        "a_re": [[3]],
        "a_im": [[1]],
        "pole_shift": [[2]],
        "input_shift": [[-1]],
        "c_re": [[2]],
        "c_im": [[-1]],
        "readout_shift": [1],
        "d": [1],
        "d_shift": [1],
        "state_bits": state_bits,
    }
    return SSM("ssm", ("u",), unchecked(bits, 0, 1), **(given | fields))


def test_ssm_by_hand():
    states = initial_states(ssm())
    advance = stepper(ssm())
    seen = []
    for u in (3, -2, 0):
        (y,) = advance([ints(u)], states, Tally())
        seen.append((states["state_re"].item(), states["state_im"].item(), y))
    # u = 3: kick 3 << 1 = 6; s = (rshift(6, 2), 0) = (2, 0)
    #        y = rshift(2*2, 1) + rshift(3, 1) = 2 + 2 = 4
    # u = -2: kick -4; s_re = rshift(6 - 4, 2) = 1, s_im = rshift(2, 2) = 1
    #        y = rshift(2*1 + 1*1, 1) + rshift(-2, 1) = 2 - 1 = 1
    # u = 0: s_re = rshift(3 - 1, 2) = 1, s_im = rshift(3 + 1, 2) = 1; y = rshift(3, 1) = 2
    assert seen == [(2, 0, 4), (1, 1, 1), (1, 1, 2)]


def test_ssm_counts_saturated_states_and_outputs():
    # states of 4 bits hold 7 at most: u = 10 enters unscaled; y = 7*3 = 21 in 5 bits -> 15
    fields = {"a_re": [[0]], "a_im": [[0]], "input_shift": [[0]], "c_re": [[3]], "c_im": [[0]]}
    op = ssm(5, 4, **fields, readout_shift=[0], d=[0], d_shift=[0])
    states = initial_states(op)
    assert step(op, ints(10), states=states) == ([15], {"ssm": 1, "ssm:state": 1})
    assert states["state_re"].item() == 7


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
def test_layer_norm_is_that_of_the_reference(drawn):
    x, gain, shift, offset, eps, bits = drawn
    op = LayerNorm("n", ("x",), unchecked(bits, 0, len(x)), gain, shift, offset, eps)
    compare(op, {}, ints(*x))


def compare(op, states, *inputs):
    """Compare one step with the reference; the states become the next ones."""
    tally, counts = Tally(), Tally()
    before = {name: values[None].copy() for name, values in states.items()}
    after, expected = op.step(before, *(x[None] for x in inputs), tally=tally)
    assert stepper(op)(inputs, states, counts).tolist() == expected[0].tolist()
    for name, values in states.items():
        assert np.array_equal(values, after[name][0]), name
    assert counts == tally


def test_operations_compile_where_nothing_can_be_cached(monkeypatch):
    refused = []

    def njit(signature, cache=False):
        if cache:
            refused.append(signature)
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)

    @dataclass(frozen=True, eq=False)
    class Doubled(Op):
        """One that no other test compiles."""

        @staticmethod
        def equation(f: Symbols, *x: Expression) -> Expression:
            """Double."""
            return x[0] + x[0]

    assert step(Doubled("d", ("x",), unchecked(8, 0, 1)), ints(21)) == ([42], {})
    assert len(refused) == 3  # the operation and two primitives


def test_floats_are_refused():
    op = Product("p", ("x", "y"), unchecked(8, 0, 1), [0])
    with pytest.raises(TypeError):
        step(op, np.array([1.5]), ints(1))
