"""When valid data reach a process of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    reset_offset: int = 0
    reset_period: int = 1
    valid_steps: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.reset_offset < 0:
            raise InputError(f"reset_offset {self.reset_offset} is negative; it counts steps")
        if self.reset_period < 1:
            raise InputError(f"reset_period {self.reset_period}: a sample has at least one step")

    def position(self, time_step: int) -> int | None:
        """Return which step of the stream arrives at Lava's `time_step` (from 1); None if none."""
        position = time_step - 1 - self.reset_offset
        if position < 0 or (self.valid_steps is not None and position >= self.valid_steps):
            return None
        return position

    def begins(self, position: int) -> bool:
        """Tell whether this is the first step of a sample."""
        return position % self.reset_period == 0

    def ends(self, position: int) -> bool:
        """Tell whether this is the last step of a sample."""
        return (position + 1) % self.reset_period == 0
