"""What a user can choose when tuning: limits, and which samples do what."""

from __future__ import annotations

from dataclasses import dataclass

from neurossm.arrays import as_names
from neurossm.checks import check_count, check_fraction


@dataclass(frozen=True)
class TuneOptions:
    """How to tune.

    Parameters
    ----------
    max_drop
        Largest loss of accuracy against the float model (0 to 1).
    min_agreement
        Least share of predictions equal to the float model's (0 to 1).
    samples
        Samples to search with, at most; the others confirm. Never more than half of the data.
    confirming
        Samples to confirm with, at most; None takes all others.
    only
        Kinds of width to tune, such as "weight"; all where empty.
    trim
        Whether widths that save no whole byte are made narrower, too.
    seed
        Decides which samples search and which confirm.
    """

    max_drop: float = 0.001
    min_agreement: float = 0.0
    samples: int = 1000
    confirming: int | None = None
    only: tuple[str, ...] = ()
    trim: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        check_fraction("max_drop", self.max_drop)
        check_fraction("min_agreement", self.min_agreement)
        check_count("samples", self.samples)
        if self.confirming is not None:
            check_count("confirming", self.confirming)
        object.__setattr__(self, "only", as_names(self.only, "only"))
        check_count("seed", self.seed, lowest=0)
