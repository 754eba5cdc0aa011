"""Frozen arrays: type, shape and value are checked, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from neurossm.arrays import freeze, same
from neurossm.errors import InputError
from neurossm.naming import check_name


@dataclass(frozen=True, eq=False)
class Record:
    name: str
    value: Any
    more: Any = None


def frozen(value: Any, dtype: Any = np.int64, shape: tuple = (None,)) -> np.ndarray:
    record = Record("r", value)
    freeze(record, "value", dtype, shape)
    return record.value


@pytest.mark.parametrize(
    ("value", "dtype", "wanted"),
    [
        ([1, 2], np.int64, [1, 2]),
        ([1.0, -2.0], np.int64, [1, -2]),
        (np.array([True, False]), np.int64, [1, 0]),
        (np.array([2**63 - 1], np.uint64), np.int64, [2**63 - 1]),
        ([-(2**63)], np.int64, [-(2**63)]),
        ([1], np.float64, [1.0]),
        (np.array([1], np.float32), np.complex128, [1 + 0j]),
    ],
)
def test_values_are_kept(value, dtype, wanted):
    array = frozen(value, dtype)
    assert array.dtype == dtype
    assert array.tolist() == wanted


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ([0.5], np.int64, "not integers of 64 bits"),
        ([2.0**63], np.int64, "not integers of 64 bits"),
        ([-1e300], np.int64, "not integers of 64 bits"),
        (np.array([2**63], np.uint64), np.int64, "not integers of 64 bits"),
        (np.array([2**64 - 1], np.uint64), np.int64, "not integers of 64 bits"),
        ([np.nan], np.int64, "NaN or infinite"),
        ([np.nan], np.float64, "NaN or infinite"),
        ([-np.inf], np.float64, "NaN or infinite"),
        ([complex(0, np.inf)], np.complex128, "NaN or infinite"),
        ([1j], np.float64, "complex128 values, expected float64"),
        ([1j], np.int64, "complex128 values, expected int64"),
        (["1"], np.int64, "<U1 values, expected int64"),
        ([None], np.float64, "object values"),
        ([[1]], np.int64, r"shape \(1, 1\), expected any"),
        ([], np.int64, r"shape \(0,\), expected any"),
        (3, np.int64, r"shape \(\), expected any"),
    ],
)
def test_values_that_would_be_lost_are_refused(value, dtype, message):
    with pytest.raises(InputError, match=message) as caught:
        frozen(value, dtype)
    assert str(caught.value).startswith("r.value: ")
    assert "\n" not in str(caught.value)


def test_shapes_are_checked():
    assert frozen([[1, 2]], shape=(None, 2)).shape == (1, 2)
    with pytest.raises(InputError, match=r"shape \(1, 2\), expected anyx3"):
        frozen([[1, 2]], shape=(None, 3))


def test_the_array_is_a_read_only_copy():
    given = np.array([1, 2])
    array = frozen(given)
    given[0] = 9
    assert array.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0", None])
def test_bad_names_are_refused(name):
    with pytest.raises(InputError, match="cannot be a name"):
        check_name(name)


@pytest.mark.parametrize("name", ["blocks.0.ssm", "ü", "a b", "state", "x.state", "x:state_re"])
def test_good_names_pass(name):
    check_name(name)


def test_same_is_bit_for_bit():
    a = Record("r", np.array([0.0, 1.0]), ("x", 1))
    assert same(a, Record("r", np.array([0.0, 1.0]), ("x", 1)))
    different = [
        Record("s", np.array([0.0, 1.0]), ("x", 1)),
        Record("r", np.array([-0.0, 1.0]), ("x", 1)),  # equal in value, not in bits
        Record("r", np.array([0.0, np.nextafter(1, 2)]), ("x", 1)),
        Record("r", np.array([0.0, 1.0], np.float32), ("x", 1)),
        Record("r", np.array([[0.0, 1.0]]), ("x", 1)),
        Record("r", [0.0, 1.0], ("x", 1)),
        Record("r", np.array([0.0, 1.0]), ("x", 2)),
        Record("r", np.array([0.0, 1.0]), ("x",)),
        Record("r", np.array([0.0, 1.0]), None),
    ]
    for other in different:
        assert not same(a, other), other
    assert same((a, a), (a, a))
    assert not same((a, a), (a,))


def test_same_looks_into_nested_records_and_types():
    @dataclass(frozen=True, eq=False)
    class Other(Record):
        pass

    inner = Record("i", np.array([1]))
    assert same(Record("r", inner), Record("r", Record("i", np.array([1]))))
    assert not same(Record("r", inner), Record("r", Record("i", np.array([2]))))
    assert not same(Record("r", 1), Other("r", 1))
