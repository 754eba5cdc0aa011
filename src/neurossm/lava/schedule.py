"""When valid data reach a process of the pipeline."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from neurossm.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """The part of Lava's time in which a process receives samples, and where each sample begins.

    Every `Dense` delays its input by one step, so a process behind n of them receives the first
    step of the first sample at `time_step` 1 + n. What arrives before is the zeros of the filling
    pipeline; a state that integrated them would be wrong for the whole first sample.

    Parameters
    ----------
    reset_offset
        Pipeline depth of the process, in steps: the number of `Dense` between source and process.
    reset_period
        Length of a sample, in steps: `(time_step - 1 - reset_offset) % reset_period == 0` is the
        first step of a sample, where states start from zero. Samples follow without gaps.
    valid_steps
        Steps in all samples together, after which the process rests; None for no end.
    lengths
        Steps of each sample, where they are not all of one length; the process rests after the
        last, and `reset_period` and `valid_steps` say nothing.
    """

    reset_offset: int = 0
    reset_period: int = 1
    valid_steps: int | None = None
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.reset_offset < 0:
            raise InputError(f"reset_offset {self.reset_offset} is negative; it counts steps")
        shortest = min((self.reset_period, *self.lengths))
        if shortest < 1:
            raise InputError(f"reset_period {shortest}: a sample has at least one step")

    @cached_property
    def _starts(self) -> list[int]:
        """Where samples of different lengths begin, and where the last ends."""
        return [0, *accumulate(self.lengths)]

    def started(self, time_step: int) -> bool:
        """Tell whether the first sample has arrived at Lava's `time_step` (from 1)."""
        return time_step > self.reset_offset

    def position(self, time_step: int) -> int | None:
        """Return which step of the stream arrives at Lava's `time_step` (from 1); None if none."""
        position = time_step - 1 - self.reset_offset
        end = self._starts[-1] if self.lengths else self.valid_steps
        if position < 0 or (end is not None and position >= end):
            return None
        return position

    def sample(self, position: int) -> int:
        """Return the number of the sample that this step is of."""
        if self.lengths:
            return bisect_right(self._starts, position) - 1
        return position // self.reset_period

    def steps(self, sample: int) -> int:
        """Return how many steps a sample has."""
        return self.lengths[sample] if self.lengths else self.reset_period

    def begins(self, position: int) -> bool:
        """Tell whether this is the first step of a sample."""
        return position == 0 or self.sample(position) != self.sample(position - 1)

    def ends(self, position: int) -> bool:
        """Tell whether this is the last step of a sample."""
        return self.begins(position + 1)


ENDLESS = Schedule(reset_period=1 << 62)
"""One sample without end."""
