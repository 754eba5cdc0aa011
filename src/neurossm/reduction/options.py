"""How far to reduce."""

from __future__ import annotations

from dataclasses import dataclass

from neurossm.checks import check_count, check_fraction, is_number
from neurossm.errors import InputError


@dataclass(frozen=True)
class ReduceOptions:
    """How far to reduce; exactly one of the first three is given.

    Parameters
    ----------
    modes
        Modes per channel that remain, on average over all channels of all layers.
    max_error
        Largest relative error of a channel's response to data, 0 to 1: each channel takes the
        fewest modes that keep it.
    max_drop
        Largest loss of accuracy on labelled data as a fraction; the fewest modes that keep it.
    uniform
        All channels keep the same number of modes.
    polish_steps
        Steps in which the remaining poles are moved to where they serve best; 0: they stay.
    keep_dead
        Also keep channels whose spikes nothing reads or that never change on the calibration data.
    """

    modes: float | None = None
    max_error: float | None = None
    max_drop: float | None = None
    uniform: bool = False
    polish_steps: int = 60
    keep_dead: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        goals = [name for name in ("modes", "max_error", "max_drop") if self.goal(name) is not None]
        if len(goals) != 1:
            found = " and ".join(f"--{name.replace('_', '-')}" for name in goals) or "none"
            raise InputError(f"reduce: give one of --modes, --max-error, --max-drop; found {found}")
        if self.modes is not None and not (is_number(self.modes) and self.modes >= 0):
            raise InputError(f"modes: {self.modes!r} must be a number of at least 0")
        for name in ("max_error", "max_drop"):
            if self.goal(name) is not None:
                check_fraction(name, self.goal(name))
        if self.uniform and self.modes is None:
            raise InputError("uniform: needs --modes, the number that all channels keep")
        if self.uniform and self.modes != int(self.modes or 0):
            raise InputError(f"modes: {self.modes}, must be an integer where all keep as many")
        check_count("polish_steps", self.polish_steps, lowest=0)

    def goal(self, name: str) -> float | None:
        """Return the goal of this name, None if it is not given."""
        value: float | None = getattr(self, name)
        return value
