"""How far long work is: one contract for every function that takes a `progress`."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`: `done` of the `total` units of `what` are finished.

A unit is a time step of a sample wherever samples run, and a trial in a search, which may end
before its total. `done` rises; another `what`, or a lower `done`, begins the next piece of work.
Calls come one at a time, from any thread.
"""


class Meter:
    """Adds up what is done of one piece of work, and tells it to whoever wants to know.

    Parameters
    ----------
    progress
        Who is told; None for nobody.
    what
        What is being done.
    total
        Units in all.
    """

    def __init__(self, progress: Progress | None, what: str, total: int) -> None:
        self.progress, self.what, self.total = progress, what, int(total)
        self._done = 0
        self._lock = Lock()

    def add(self, units: int = 1) -> None:
        """Tell that so many more are done."""
        with self._lock:
            self._done += int(units)
            if self.progress is not None:
                self.progress(self.what, self._done, self.total)
