from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.program import Program
from neurossm.program.work import Work, signed_digits

Build = Callable[..., Program]


@pytest.mark.parametrize(
    ("value", "digits"),
    # 0b1011 = 8 + 4 - 1, 0b10101, 0b1111111 = 128 - 1
    [(0, 0), (1, 1), (-8, 1), (7, 2), (-3, 2), (11, 3), (21, 3), (127, 2)],
)
def test_signed_digits_by_hand(value: int, digits: int) -> None:
    assert signed_digits(value) == digits


@given(st.integers(-300, 300))
def test_signed_digits_are_the_fewest(value: int) -> None:
    powers = [sign << k for k in range(10) for sign in (1, -1)]
    reachable, count = {0}, 0
    while value not in reachable:  # breadth first: sums of `count` powers of two
        reachable = {total + power for total in reachable for power in powers}
        count += 1
    assert signed_digits(value) == count


def test_the_work_of_an_ssm_channel(small_program: Build) -> None:
    # 3 modes: 4 products and 3 sums each for the state, 2 and 2 for the readout; and d u
    expected = Work(state_updates=3, state_multiplies=3 * 6 + 1, state_adds=3 * 5)
    assert small_program(modes=3)["blocks.0.ssm"].work() == expected
    assert expected.operations == 19 + 15  # updates are made of the others


def test_elementwise_work(small_program: Build) -> None:
    program = small_program()
    assert program["encoder"].work() == Work(elementwise_multiplies=1, elementwise_adds=1)
    assert program["blocks.0.glu"].work() == Work(elementwise_multiplies=1)
    assert program["blocks.0.add"].work() == Work(elementwise_adds=1)
    assert program["blocks.0.spike"].work() == Work(elementwise_adds=1)
    # slopes 0, 1, 5 = 4 + 1, 7 = 8 - 1
    assert program["blocks.0.sigmoid"].work() == Work(elementwise_adds=1 + 2)
    assert program["blocks.0.value.sum"].work() == Work()
    assert np.all(program["blocks.0.sigmoid"].slope == [0, 1, 5, 7])
