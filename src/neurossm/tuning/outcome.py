"""What tuning found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from neurossm.compile.precision import Precision
from neurossm.tuning.judge import Score
from neurossm.tuning.options import TuneOptions
from neurossm.tuning.search import Trial
from neurossm.tuning.space import WidthGroup


@dataclass(frozen=True, eq=False)
class Tuning:
    """The outcome of `tune`.

    Parameters
    ----------
    precision
        The widths chosen.
    start, found, chosen
        Where the search began, where it ended, and what the held-out samples confirmed; scores on
        the samples of the search.
    confirmed
        Score of the chosen widths on the held-out samples.
    path
        The steps down, the start first; `chosen` is one of them.
    front
        Non-dominated scores among all that were tried: bytes against agreement.
    tried
        Choices tried on the samples of the search.
    confirmations
        Choices tried on the held-out samples.
    float_accuracy
        Of the float model, on the samples of the search and on the others.
    samples
        Numbers of both.
    """

    precision: Precision
    settings: TuneOptions
    groups: tuple[WidthGroup, ...]
    start: Trial
    found: Trial
    chosen: Trial
    confirmed: Score
    path: tuple[Trial, ...]
    front: tuple[Score, ...]
    tried: int
    confirmations: int
    float_accuracy: tuple[float, float]
    samples: tuple[int, int]
    labelled: bool = True

    @property
    def stepped_back(self) -> int:
        """How many steps were taken back after the held-out samples did not confirm them."""
        return len(self.path) - 1 - self.path.index(self.chosen)

    def to_json(self) -> dict[str, Any]:
        """Return the outcome under the keys that `neurossm tune --json` writes."""
        searching, confirming = self.float_accuracy
        return {
            "max_drop": self.settings.max_drop,
            "seed": self.settings.seed,
            "scaling": self.precision.scaling,
            "default": asdict(self.precision.default),
            "layers": {layer: dict(own) for layer, own in self.precision.layers.items()},
            "groups": [
                {
                    "layer": group.layer,
                    "width": group.width,
                    "start": self.start.choice[group],
                    "bits": self.chosen.choice[group],
                }
                for group in self.groups
            ],
            "start": _score(self.start.score, searching),
            "search": {"samples": self.samples[0], **_score(self.chosen.score, searching)},
            "confirmation": {
                "samples": self.samples[1],
                "tried": self.confirmations,
                **_score(self.confirmed, confirming),
            },
            "path": [
                {
                    "group": None if step.group is None else str(step.group),
                    "bits": None if step.group is None else step.choice[step.group],
                    **_score(step.score, searching),
                }
                for step in self.path
            ],
            "stepped_back": self.stepped_back,
            "tried": self.tried,
            "front": [_score(score, searching) for score in self.front],
        }


def _score(score: Score, reference: float) -> dict[str, float]:
    return {
        "bytes": score.size_bytes,
        "top1_agreement": score.agreement,
        "distance": score.distance,
        "accuracy": reference + score.paired.difference,
        "float_accuracy": reference,
        "drop": score.drop,
    }
