"""Descend from generous widths to narrow ones, taking the steps that cost least per byte first.

1. Scan: each group alone goes one rung down; the loss per byte saved orders them.
2. Descend: the group that saves most bytes per loss goes down a rung, if the limits hold;
   otherwise it stays where it is. Its place in the order is renewed whenever its turn comes.
3. Trim: groups go down to the smallest width at which the limits hold, also where bits inside a
   byte are all that is saved, until no single group can give up one more bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurossm.compile import Prepared, Widths
from neurossm.compile.precision import Precision
from neurossm.errors import LimitError
from neurossm.program import Program
from neurossm.progress import Meter, Progress
from neurossm.tuning.judge import Judge, Score
from neurossm.tuning.space import Choice, WidthGroup, layers_of, residual_of

_LEAST_LOSS = 1e-7
"""Losses below it are equally good."""


@dataclass(frozen=True)
class Tolerance:
    """What a choice must hold.

    Parameters
    ----------
    max_drop
        Largest loss of accuracy (0 to 1).
    min_agreement
        Least share of equal predictions (0 to 1).
    """

    max_drop: float
    min_agreement: float = 0.0

    def hold(self, score: Score | None) -> bool:
        """Tell whether a score, None for what cannot be compiled, is within the limits."""
        return (
            score is not None
            and score.drop <= self.max_drop + 1e-11
            and score.agreement >= self.min_agreement
        )


@dataclass(frozen=True)
class Trial:
    """A choice on the way down, with the group that was made narrower last."""

    group: WidthGroup | None
    choice: Choice
    score: Score


class Search:
    """Tries choices, each once, and remembers the way down."""

    def __init__(
        self,
        prepared: Prepared,
        judge: Judge,
        limits: Tolerance,
        start: Choice,
        progress: Progress | None,
    ) -> None:
        self.prepared, self.judge, self.limits, self.progress = prepared, judge, limits, progress
        self.widths = prepared.options.widths
        self.tried: dict[tuple[tuple[WidthGroup, int], ...], Score | None] = {}
        self.losses: dict[WidthGroup, float] = {}
        first = self.score(start)
        assert first is not None  # the widths the model was prepared with
        self.path: list[Trial] = [Trial(None, dict(start), first)]

    @property
    def here(self) -> Trial:
        """The last step."""
        return self.path[-1]

    def precision(self, choice: Choice) -> Precision:
        """Return a choice as a precision, for the scaling of the search."""
        return precision_of(choice, self.prepared)

    def program(self, choice: Choice) -> Program:
        """Compile a choice."""
        precision = self.precision(choice)
        return self.prepared.compile(precision.default, precision.layers)

    def score(self, choice: Choice) -> Score | None:
        """Return the score of a choice; None if it cannot be compiled."""
        key = tuple(sorted(choice.items()))
        if key not in self.tried:
            try:
                self.tried[key] = self.judge.score(self.program(choice))
            except LimitError:
                self.tried[key] = None
        return self.tried[key]

    def run(self, *, trim: bool) -> None:
        """Scan, descend, and trim."""
        open_groups = self._scan()
        self._descend(open_groups)
        if trim:
            self._trim()

    def _scan(self) -> dict[WidthGroup, float]:
        """Return the bytes saved per loss of each group that can save some within the limits."""
        worth: dict[WidthGroup, float] = {}
        groups = list(self.here.choice)
        meter = Meter(self.progress, "scanning groups", len(groups))
        for group in groups:
            bits = group.rung(self.here.choice[group])
            score = None if bits is None else self.score({**self.here.choice, group: bits})
            self.losses[group] = _loss(self.here.score, score)
            if score is not None and self.limits.hold(score):
                value = self._worth(score)
                if value > 0:
                    worth[group] = value
            meter.add()
        return worth

    def _worth(self, score: Score) -> float:
        """Return the bytes that a score saves over where the search is, per loss."""
        saved = self.here.score.size_bytes - score.size_bytes
        return saved / _loss(self.here.score, score)

    def _descend(self, worth: dict[WidthGroup, float]) -> None:
        rungs = sum(_rungs(group, self.here.choice[group]) for group in worth)
        meter = Meter(self.progress, "descending", rungs)
        while worth:
            group = max(worth, key=lambda key: (worth[key], key))
            left = _rungs(group, self.here.choice[group])
            value = self._value(group)
            if value is None:
                del worth[group]
                meter.add(left)
            elif value >= max((v for g, v in worth.items() if g != group), default=0.0):
                self._take(group, self._below(group))
                meter.add()
            else:
                worth[group] = value

    def _value(self, group: WidthGroup) -> float | None:
        """Return what the next rung of a group is worth from here; None if it may not be taken."""
        if group.rung(self.here.choice[group]) is None:
            return None
        score = self.score({**self.here.choice, group: self._below(group)})
        if score is None or not self.limits.hold(score):
            return None
        value = self._worth(score)
        return value if value > 0 else None

    def _below(self, group: WidthGroup) -> int:
        bits = group.rung(self.here.choice[group])
        assert bits is not None
        return bits

    def _take(self, group: WidthGroup, bits: int) -> None:
        choice = {**self.here.choice, group: bits}
        score = self.score(choice)
        assert score is not None
        self.path.append(Trial(group, choice, score))

    def _trim(self) -> None:
        """Go round all groups, the least sensitive first, until none can be narrower."""
        groups = sorted(self.here.choice, key=lambda group: (self.losses[group], group))
        moved = True
        while moved:
            moved = False
            meter = Meter(self.progress, "trimming bits", len(groups))
            for group in groups:
                bits = self._narrowest(group)
                if bits < self.here.choice[group]:
                    self._take(group, bits)
                    moved = True
                meter.add()

    def _narrowest(self, group: WidthGroup) -> int:
        """Return the smallest width that holds, by bisection below one that does.

        If one bit less than the present width does not hold, nothing further is tried.
        """
        holds = self.here.choice[group]
        if holds == group.lowest or not self._holds(group, holds - 1):
            return holds
        low, holds = group.lowest, holds - 1
        while low < holds:
            middle = (low + holds) // 2
            if self._holds(group, middle):
                holds = middle
            else:
                low = middle + 1
        return holds

    def _holds(self, group: WidthGroup, bits: int) -> bool:
        return self.limits.hold(self.score({**self.here.choice, group: bits}))

    def front(self) -> list[Score]:
        """Return the scores that no other one beats in both bytes and agreement, by bytes."""
        scores = [score for score in self.tried.values() if score is not None]
        best: list[Score] = []
        for score in sorted(scores, key=lambda s: (s.size_bytes, -s.agreement, s.distance)):
            if not best or score.agreement > best[-1].agreement:
                best.append(score)
        return best


def precision_of(choice: Choice, prepared: Prepared) -> Precision:
    """Return a choice as a precision: single layers where they differ from the default."""
    options = prepared.options
    widths = Widths(**{**vars(options.widths), "residual": residual_of(choice, options.widths)})
    return Precision(widths, layers_of(choice, options.widths), options.scaling)


def _loss(before: Score, after: Score | None) -> float:
    """Return how much more a score differs from the float model; infinite if there is none."""
    return float("inf") if after is None else max(after.distance - before.distance, _LEAST_LOSS)


def _rungs(group: WidthGroup, bits: int) -> int:
    count, below = 0, group.rung(bits)
    while below is not None:
        count, below = count + 1, group.rung(below)
    return count
