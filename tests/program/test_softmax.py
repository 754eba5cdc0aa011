"""The integer softmax against exact exponentials, and its corners."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm import program as p
from neurossm.errors import InputError, LimitError
from neurossm.program.softmax import MAX_ERROR, power_table

SCALE = round(2**22 / np.log(2))


def softmax(channels: int, exponent: int) -> p.Softmax:
    out = p.unchecked(22, 20, channels)
    return p.Softmax("s", ("x",), out, power_table(), SCALE, 22 + exponent - 14)


def exact(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("channels", [1, 2, 35, 512])
@pytest.mark.parametrize("spread", [0.0, 0.05, 1.0, 8.0, 1000.0])
def test_it_is_within_its_error(channels: int, spread: float) -> None:
    rng = np.random.default_rng(channels)
    op, exponent = softmax(channels, 16), 16
    x = np.rint(rng.normal(0, spread, (200, channels)) * 2**exponent).astype(np.int64)
    _, y = op.step({}, x, tally=p.Tally())
    assert np.abs(y * 2.0**-20 - exact(x * 2.0**-exponent)).max() < MAX_ERROR
    assert np.abs(y.sum(axis=1) * 2.0**-20 - 1).max() < channels * 2.0**-21 + 2.0**-17


def test_by_hand() -> None:
    # exponent 0: of 5 and 5 each has half, of 0 beside 40 is e^-40 of nothing
    op = softmax(2, 0)
    _, y = op.step({}, np.array([[5, 5], [0, 40], [-7, -7]]), tally=p.Tally())
    assert y.tolist() == [[1 << 19, 1 << 19], [0, 1 << 20], [1 << 19, 1 << 19]]


def test_order_is_kept() -> None:
    x = np.arange(64)[None] * 37 - 900
    _, y = softmax(64, 10).step({}, x, tally=p.Tally())
    assert (np.diff(y[0]) >= 0).all()


def test_its_bounds_hold_and_its_limits_are_told() -> None:
    op = softmax(3, 4)
    bound = op.bounds(p.Interval(np.full(3, -99), np.full(3, 99)))
    # the least share: -99 beside two of 99, e^-12.4 / 2 of 2^20, is about 2
    assert (bound.low >= 0).all()
    assert (bound.low <= 2).all()
    assert bound.high.max() <= (1 << 20) + 16
    with pytest.raises(LimitError, match="513 channels"):
        softmax(513, 4).bounds(p.Interval(np.zeros(513, int), np.ones(513, int)))
    with pytest.raises(LimitError, match=r"differ by more than 2\^36"):
        op.bounds(p.Interval(np.zeros(3, int), np.full(3, 1 << 37)))


@pytest.mark.parametrize(
    ("table", "scale", "shift"),
    [
        (power_table()[:-1], SCALE, 3),
        (power_table() - 1, SCALE, 3),
        (power_table(), 0, 3),
        (power_table(), SCALE, -1),
    ],
)
def test_bad_fields(table: np.ndarray, scale: int, shift: int) -> None:
    with pytest.raises(InputError, match=r"s(\.table)?: "):
        p.Softmax("s", ("x",), p.unchecked(22, 20, 2), table, scale, shift)
