"""What a pass refuses: raised at once, or gathered by whoever wants to know all of it.

A pass does each independent piece of its work through `Refusals.attempt`. The compiler raises the
first refusal; `neurossm check` gathers them, so that the rules exist once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from neurossm.errors import NeuroSSMError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Refusal:
    """One reason for which something is refused: where, and the error that would be raised."""

    where: str
    error: NeuroSSMError


@dataclass
class Refusals:
    """What is refused.

    Parameters
    ----------
    gathering
        Keep refusals instead of raising the first.
    found
        Those kept so far.
    unseen
        Names of pieces that were not tried, as they need what was refused.
    """

    gathering: bool = False
    found: list[Refusal] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def attempt(
        self, name: str, work: Callable[[], Result], needs: Iterable[str] = ()
    ) -> Result | None:
        """Return what a piece of work returns; None where it, or one it needs, is refused.

        Raises
        ------
        NeuroSSMError
            What the work raises, unless refusals are gathered.
        """
        if not self.gathering:
            return work()
        missing = {refusal.where for refusal in self.found}.union(self.unseen)
        if not missing.isdisjoint(needs):
            self.unseen.append(name)
            return None
        try:
            return work()
        except NeuroSSMError as error:
            self.found.append(Refusal(name, error))
            return None

    def stop(self) -> None:
        """Give up here where anything was refused, as what follows needs all of it.

        Raises
        ------
        NeuroSSMError
            The first refusal.
        """
        if self.found:
            raise self.found[0].error
