"""Instructions in loops over channels and modes: what every printer of integers walks.

A step is one loop over the channels for each reduction, then one for the result and the states;
what is one number for all channels is computed between them, modes in loops within. A printer of a
language turns these nodes into text, and adds no order of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from neurossm.program.code import Code

REDUCTIONS = ("total", "largest")
"""Kinds that make one number of all channels."""


@dataclass(frozen=True)
class Compute:
    """Compute the value of an instruction."""

    number: int


@dataclass(frozen=True)
class Begin:
    """Begin a reduction over channels, or a sum over modes."""

    number: int


@dataclass(frozen=True)
class Gather:
    """Take one more value into a reduction or a sum."""

    number: int
    source: int


@dataclass(frozen=True)
class Write:
    """Write the result of a channel."""

    number: int


@dataclass(frozen=True)
class Keep:
    """Keep the next states, of a channel or of a mode, as the axis says."""

    axis: str


@dataclass(frozen=True)
class Loop:
    """Do something for every channel, or for every mode of one."""

    axis: str
    body: tuple[Node, ...]


Node: TypeAlias = "Compute | Begin | Gather | Write | Keep | Loop"


def layout(code: Code) -> tuple[Node, ...]:
    """Return one step of an equation."""
    return tuple(_Layout(code).step())


class _Layout:
    """Puts instructions into loops."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.used = _ancestors(code)
        self.has_modes = any(item.axis == "mode" for item in code.instructions)

    def step(self) -> Iterator[Node]:
        """Yield a loop over channels for each reduction, then one for the result."""
        done: set[int] = set()
        for number, item in enumerate(self.code.instructions):
            if item.kind in REDUCTIONS:
                yield from self._rows(self.used[number], done)
                (source,) = item.args
                yield Begin(number)
                body = (*self._channel([source], done), Gather(number, source))
                yield Loop("channel", body)
                done.add(number)
        ends = [self.code.result, *self.code.states.values()]
        yield from self._rows(set().union(*(self.used[end] for end in ends)), done)
        last: list[Node] = [*self._channel(ends, done), Write(self.code.result)]
        if self.code.states and not self.has_modes:
            last.append(Keep("channel"))
        yield Loop("channel", tuple(last))

    def _rows(self, wanted: Iterable[int], done: set[int]) -> Iterator[Node]:
        """Yield what is computed once for all channels, and not done yet."""
        for number in sorted(wanted):
            item = self.code.instructions[number]
            single = item.axis in ("row", "shared") and item.kind not in REDUCTIONS
            if single and number not in done and item.kind not in ("parameter", "number"):
                yield Compute(number)
                done.add(number)

    def _channel(self, ends: list[int], done: set[int]) -> Iterator[Node]:
        """Yield what one channel needs for some values; modes in a loop of their own."""
        wanted = sorted(self._needs(ends, set()) - done)
        after = [n for n in wanted if "over_modes" in self._kinds(n)]
        for number in wanted:
            if self.code.instructions[number].axis == "channel" and number not in after:
                yield from self._unless_leaf(number)
        if self.has_modes:
            yield from self._modes(wanted)
        for number in after:
            if self.code.instructions[number].kind != "over_modes":
                yield from self._unless_leaf(number)

    def _needs(self, ends: Iterable[int], found: set[int]) -> set[int]:
        """Add to `found` what a channel computes for some values, up to what is one per step."""
        for number in set(ends) - found:
            item = self.code.instructions[number]
            if item.axis in ("channel", "mode"):
                found.add(number)
                self._needs(item.args, found)
        return found

    def _modes(self, wanted: list[int]) -> Iterator[Node]:
        sums = [n for n in wanted if self.code.instructions[n].kind == "over_modes"]
        yield from map(Begin, sums)
        body: list[Node] = []
        for number in wanted:
            if self.code.instructions[number].axis == "mode":
                body += self._unless_leaf(number)
        body += [Gather(number, self.code.instructions[number].args[0]) for number in sums]
        if self.code.states:
            body.append(Keep("mode"))
        yield Loop("mode", tuple(body))

    def _unless_leaf(self, number: int) -> Iterator[Node]:
        if self.code.instructions[number].kind not in ("parameter", "number"):
            yield Compute(number)

    def _kinds(self, number: int) -> set[str]:
        return {self.code.instructions[n].kind for n in self.used[number]}


def _ancestors(code: Code) -> list[set[int]]:
    """Return for each instruction itself and all it depends on."""
    found: list[set[int]] = []
    for number, item in enumerate(code.instructions):
        found.append({number}.union(*(found[arg] for arg in item.args)))
    return found
