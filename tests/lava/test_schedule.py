"""When a process of the pipeline works, rests and resets."""

import pytest

from neurossm.errors import InputError
from neurossm.lava import Schedule


def test_positions_are_counted_from_the_first_valid_step():
    # depth 2, samples of 3 steps, two samples: time steps 3..8 carry positions 0..5
    schedule = Schedule(reset_offset=2, reset_period=3, valid_steps=6)
    assert [schedule.position(t) for t in range(1, 11)] == [
        None, None, 0, 1, 2, 3, 4, 5, None, None,
    ]  # fmt: skip


def test_samples_begin_and_end_without_gaps():
    schedule = Schedule(reset_offset=2, reset_period=3)
    assert [schedule.begins(p) for p in range(6)] == [True, False, False, True, False, False]
    assert [schedule.ends(p) for p in range(6)] == [False, False, True, False, False, True]


def test_samples_of_one_step_begin_and_end_at_once():
    schedule = Schedule(reset_period=1)
    assert schedule.begins(7)
    assert schedule.ends(7)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"reset_offset": -1}, "reset_offset -1 is negative"), ({"reset_period": 0}, "at least one")],
)
def test_nonsense_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Schedule(**fields)
