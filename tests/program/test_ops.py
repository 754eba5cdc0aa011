"""Every stateless operation: its step against plain Python, its bounds against all inputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.errors import FormatError, InputError, LimitError, NeuroSSMError
from neurossm.program import (
    Add,
    Affine,
    Dense,
    Embedding,
    Input,
    Interval,
    Op,
    Product,
    Spike,
    Table,
    Tally,
    Ternary,
    unchecked,
)

small = st.integers(-40, 40)
shifts = st.integers(-3, 5)


def nearest(p: int, k: int) -> int:
    """Return p / 2^k to nearest, halves up, in Python integers."""
    return p << -k if k < 0 else (2 * p + (1 << k)) >> (k + 1)


def clamp(value: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


def step(op: Op, *inputs: object) -> tuple[list, dict[str, int]]:
    tally = Tally()
    _, out = op.step({}, *(np.array(x) for x in inputs), tally=tally)
    assert out.dtype == np.int64
    return out.tolist(), dict(tally)


def check_bounds(op: Op, intervals: list[tuple[int, int]], exact: bool = True) -> None:
    """Compare the bounds of a one-channel op with its output over all inputs in the intervals."""
    bounds = op.bounds(*(Interval([low], [high]) for low, high in intervals))
    grid = [
        [int(v)] for v in np.array(step_all(op, intervals)).ravel()
    ]  # every output before saturation
    low, high = min(grid)[0], max(grid)[0]
    assert bounds.low[0] <= low
    assert bounds.high[0] >= high
    if exact:
        assert (int(bounds.low[0]), int(bounds.high[0])) == (low, high)


def step_all(op: Op, intervals: list[tuple[int, int]]) -> list[int]:
    columns = itertools.product(*(range(low, high + 1) for low, high in intervals))
    inputs = [np.array(column)[:, None] for column in zip(*columns, strict=True)]
    _, out = op.step({}, *inputs, tally=Tally())
    return out.tolist()


def interval(draw, reach: int = 30) -> tuple[int, int]:
    ends = sorted(draw(st.tuples(st.integers(-reach, reach), st.integers(-reach, reach))))
    return ends[0], ends[1]


def test_affine_by_hand():
    op = Affine("a", ("x",), unchecked(6, 0, 4), [3, -3, 1, 5], [1, 1, -2, 0], [0, 0, 1, -2])
    # 3*5/2 = 7.5 -> 8; -15/2 = -7.5 -> -7; 5*4 + 1 = 21; 25 - 2 = 23
    # 3*-5/2 = -7.5 -> -7; 15/2 = 7.5 -> 8; -20 + 1; -25 - 2
    # 3*20/2 = 30; -30; 81 -> 31; 98 -> 31: two clipped
    out, clipped = step(op, [[5] * 4, [-5] * 4, [20] * 4])
    assert out == [[8, -7, 21, 23], [-7, 8, -19, -27], [30, -30, 31, 31]]
    assert clipped == {"a": 2}


@given(small, shifts, small, small, st.integers(2, 12))
def test_affine_is_its_equation(gain, shift, offset, x, bits):
    op = Affine("a", ("x",), unchecked(bits, 0, 1), [gain], [shift], [offset])
    exact = nearest(gain * x, shift) + offset
    wanted = clamp(exact, bits)
    assert step(op, [[x]]) == ([[wanted]], {} if exact == wanted else {"a": 1})


@given(st.data(), small, shifts, small)
def test_affine_bounds_are_exact(data, gain, shift, offset):
    op = Affine("a", ("x",), unchecked(30, 0, 1), [gain], [shift], [offset])
    check_bounds(op, [interval(data.draw)])


def test_dense_by_hand():
    op = Dense("d", ("x",), unchecked(8, 0, 2), [[1, -2, 3], [0, 5, -127]])
    # 1 + 3; -127; ternary: -1 - 2*1 ; 5
    assert step(op, [[1, 0, 1], [-1, 1, 0]]) == ([[4, -127], [-3, 5]], {})


def test_dense_bounds_are_exact():
    weight = [[3, -2], [0, 0], [-1, -4]]
    op = Dense("d", ("x",), unchecked(20, 0, 3), weight)
    x = Interval([-1, 2], [4, 3])
    seen = [
        [sum(w * v for w, v in zip(row, column, strict=True)) for row in weight]
        for column in itertools.product(range(-1, 5), range(2, 4))
    ]
    bounds = op.bounds(x)
    assert bounds.low.tolist() == np.min(seen, axis=0).tolist()
    assert bounds.high.tolist() == np.max(seen, axis=0).tolist()


def test_embedding_selects_rows_and_is_bounded_by_those_that_can_be_selected():
    weight = [[1, -5], [2, 7], [100, 100]]
    op = Embedding("e", ("x",), unchecked(8, 0, 2), weight)
    assert step(op, [[2], [0], [1]]) == ([[100, 100], [1, -5], [2, 7]], {})
    bounds = op.bounds(Interval([0], [1]))  # a vocabulary of two: the third row is never read
    assert (bounds.low.tolist(), bounds.high.tolist()) == ([1, -5], [2, 7])


@given(small, small, shifts, st.integers(2, 12))
def test_product_is_its_equation(x, y, shift, bits):
    op = Product("p", ("x", "y"), unchecked(bits, 0, 1), [shift])
    exact = nearest(x * y, shift)
    wanted = clamp(exact, bits)
    assert step(op, [[x]], [[y]]) == ([[wanted]], {} if exact == wanted else {"p": 1})


@given(st.data(), shifts)
def test_product_bounds_are_exact(data, shift):
    op = Product("p", ("x", "y"), unchecked(30, 0, 1), [shift])
    check_bounds(op, [interval(data.draw, 12), interval(data.draw, 12)])


def test_add_saturates_and_its_bounds_are_exact():
    op = Add("s", ("x", "y"), unchecked(4, 0, 1))
    assert step(op, [[5], [5], [-8]], [[2], [3], [-1]]) == ([[7], [7], [-8]], {"s": 2})
    check_bounds(Add("s", ("x", "y"), unchecked(9, 0, 1)), [(-7, 3), (2, 6)])


def test_spike_is_strict():
    op = Spike("s", ("x",), unchecked(2, 0, 2), [3, -1])
    assert step(op, [[3, -1], [4, 0], [2, -2]]) == ([[0, 0], [1, 1], [0, 0]], {})


def test_ternary_is_strict_and_odd():
    op = Ternary("t", ("x",), unchecked(2, 0, 2), [3, 0])
    assert step(op, [[3, 0], [4, 1], [-3, -1], [-4, 5]]) == (
        [[0, 0], [1, 1], [0, -1], [-1, 1]],
        {},
    )


@given(st.data(), st.integers(-9, 9))
def test_spike_bounds_are_exact(data, threshold):
    ends = interval(data.draw, 12)
    check_bounds(Spike("s", ("x",), unchecked(2, 0, 1), [threshold]), [ends])
    check_bounds(Ternary("t", ("x",), unchecked(2, 0, 1), [abs(threshold)]), [ends])


def table_value(op: Table, x: int) -> int:
    """Evaluate a table in Python integers, finding the segment by search."""
    segment = 0
    while segment + 1 < op.base.size and x >= op.origin + (segment + 1) * 2**op.width:
        segment += 1
    offset = x - op.origin - segment * 2**op.width
    return int(op.base[segment]) + nearest(int(op.slope[segment]) * offset, op.slope_shift)


def test_table_by_hand():
    fields = {"origin": -4, "width": 2, "base": [0, 10, 20], "slope": [1, -3, 2], "slope_shift": 1}
    op = Table("t", ("x",), unchecked(6, 0, 1), **fields)
    x = [-9, -4, -1, 0, 3, 4, 7, 8, 30]
    # segment 0 from -4: dx = -5 -> -2.5 -> -2; 0; 3/2 -> 2
    # segment 1 from 0: 10; 10 - 9/2 = 10 - 4 (-4.5 up to -4) = 6
    # segment 2 from 4 on, without end: 20; 23; 24; 20 + 26 = 46 -> 31
    assert step(op, [[v] for v in x]) == (
        [[-2], [0], [2], [10], [6], [20], [23], [24], [31]],
        {"t": 1},
    )


tables = st.integers(1, 5).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            "origin": st.integers(-20, 20),
            "width": st.integers(0, 4),
            "base": st.lists(small, min_size=size, max_size=size),
            "slope": st.lists(small, min_size=size, max_size=size),
            "slope_shift": shifts,
        }
    )
)


@given(tables, st.lists(st.integers(-90, 90), min_size=1, max_size=20))
def test_table_is_its_equation(fields, x):
    op = Table("t", ("x",), unchecked(30, 0, 1), **fields)
    assert step(op, [[v] for v in x]) == ([[table_value(op, v)] for v in x], {})


@given(st.data(), tables)
def test_table_bounds_are_exact(data, fields):
    op = Table("t", ("x",), unchecked(40, 0, 1), **fields)
    check_bounds(op, [interval(data.draw, 60)])


def test_input_encodes_each_kind():
    def encode(kind, size, data, exponent=0, low=-2.0, high=2.0):
        op = Input("x", (), unchecked(20, exponent, 1), kind, size, low, high)
        return op.encode(np.array(data)).tolist()

    assert encode("uint8", 1, np.array([[0, 255]], np.uint8)) == [[[0], [255]]]
    assert encode("tokens", 9, [[0, 8]]) == [[[0], [8]]]
    # times 4, to nearest, halves up: 0.5 -> 1, -0.5 -> 0, -1.5 -> -1, 1.2 -> 1, -1.2 -> -1
    x = [[0.125, -0.125, -0.375, 0.3, -0.3]]
    assert encode("float", 1, x, exponent=2) == [[[1], [0], [-1], [1], [-1]]]
    # the largest double below 1/2: adding 1/2 in double precision would round to 1
    assert encode("float", 1, [[0.49999999999999994]]) == [[[0]]]
    # a negative exponent: 2 * 2^-2 = 0.5 -> 1
    assert encode("float", 1, [[2.0, 1.9]], exponent=-2) == [[[1], [0]]]


def test_input_bounds():
    def bounds(kind, size, exponent=0):
        channels = 1 if kind == "tokens" else size
        op = Input("x", (), unchecked(20, exponent, channels), kind, size, -0.7, 1.3)
        found = op.bounds()
        return found.low.tolist(), found.high.tolist()

    assert bounds("uint8", 2) == ([0, 0], [255, 255])
    assert bounds("tokens", 7) == ([0], [6])
    assert bounds("float", 1, 4) == ([-11], [21])  # -11.2 and 20.8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Affine("a", (), unchecked(4, 0, 1), [1], [0], [0]), "reads 1 tensors, not 0"),
        (lambda: Affine("a", ("x",), unchecked(4, 0, 2), [1], [0, 0], [0, 0]), "shape"),
        (lambda: Affine("a", ("x",), unchecked(4, 0, 1), [1], [63], [0]), "63 is outside"),
        (lambda: Affine("a", ("x",), unchecked(4, 0, 1), [1], [-63], [0]), "-63 is outside"),
        (lambda: Affine("a", ("x",), unchecked(4, 0, 1), [2**62], [0], [0]), "is outside"),
        (lambda: Affine("a", ("x",), unchecked(4, 0, 1), [1.5], [0], [0]), "not integers"),
        (lambda: Affine("a", ("x",), unchecked(4, 0, 1), [np.nan], [0], [0]), "NaN"),
        (lambda: Affine("a", ("x",), unchecked(4, 0, 1), [1e30], [0], [0]), "not integers"),
        (lambda: Affine("a/b", ("x",), unchecked(4, 0, 1), [1], [0], [0]), "name"),
        (lambda: Dense("d", ("x",), unchecked(4, 0, 2), [[1]]), "shape"),
        (lambda: Dense("d", ("x",), unchecked(4, 0, 1), [[]]), "shape"),
        (lambda: Product("p", ("x",), unchecked(4, 0, 1), [0]), "reads 2 tensors, not 1"),
        (lambda: Product("p", ("x", "y"), unchecked(4, 0, 1), [99]), "99 is outside"),
        (lambda: Ternary("t", ("x",), unchecked(2, 0, 1), [-1]), "negative threshold"),
        (lambda: Table("t", ("x",), unchecked(4, 0, 1), 0, -1, [0], [0], 0), "at least 1"),
        (lambda: Table("t", ("x",), unchecked(4, 0, 1), 0, 61, [0, 0], [0, 0], 0), "beyond 2"),
        (lambda: Table("t", ("x",), unchecked(4, 0, 1), 2**62, 0, [0], [0], 0), "is outside"),
        (lambda: Table("t", ("x",), unchecked(4, 0, 1), 0, 0, [0], [0], 70), "70 is outside"),
        (lambda: Table("t", ("x",), unchecked(4, 0, 1), 0, 0, [0], [0, 1], 0), "shape"),
        (lambda: Input("x", (), unchecked(9, 0, 1), "bytes", 1, 0.0, 1.0), "kind 'bytes'"),
        (lambda: Input("x", (), unchecked(9, 0, 2), "uint8", 1, 0.0, 1.0), "channels"),
        (lambda: Input("x", (), unchecked(9, 0, 1), "float", 1, 0.0, np.inf), "not finite"),
        (lambda: unchecked(0, 0, 1), "0 bits"),
        (lambda: unchecked(64, 0, 1), "64 bits"),
        (lambda: unchecked(8, 5000, 1), "exponent beyond"),
    ],
)
def test_bad_fields_are_one_line(make, message):
    with pytest.raises(NeuroSSMError, match=message) as caught:
        make()
    assert isinstance(caught.value, (InputError, FormatError))
    assert "\n" not in str(caught.value)


WIDE = Interval.of_bits(40, 1)


@pytest.mark.parametrize(
    "op",
    [
        Affine("o", ("x",), unchecked(8, 0, 1), [1 << 30], [0], [0]),
        Affine("o", ("x",), unchecked(8, 0, 1), [1], [-30], [0]),
        Dense("o", ("x",), unchecked(8, 0, 1), [[1 << 30]]),
        Table("o", ("x",), unchecked(8, 0, 1), 0, 1, [0], [1 << 30], 0),
        Table("o", ("x",), unchecked(8, 0, 1), 0, 1, [0], [1], -30),
    ],
)
def test_bounds_refuse_what_64_bits_could_not_compute(op):
    with pytest.raises(LimitError, match=r"o: .* can reach 2\^6\d.*62 bits"):
        op.bounds(WIDE)


def test_product_bounds_refuse_what_64_bits_could_not_compute():
    with pytest.raises(LimitError, match="can reach"):
        Product("o", ("x", "y"), unchecked(8, 0, 1), [0]).bounds(WIDE, WIDE)


def test_input_bounds_refuse_what_64_bits_could_not_hold():
    with pytest.raises(LimitError, match="can reach"):
        Input("x", (), unchecked(20, 40, 1), "float", 1, -1e9, 1e9).bounds()
