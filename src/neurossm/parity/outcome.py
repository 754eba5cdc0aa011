"""The outcome of a verification as a whole: what was compared, what had to hold, the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neurossm.parity.results import (
    Check,
    EngineResult,
    LayerResult,
    RungResult,
    SampleResult,
    plain,
)
from neurossm.parity.statistics import PairedComparison, Proportion

TOP1 = "top-1 agreement"
"""Name of the check that a model survives."""


@dataclass(frozen=True, eq=False)
class Verification:
    """The outcome of `verify`.

    Parameters
    ----------
    samples, steps
        How many samples, and the steps of the longest.
    highest_rung
        "float" with the trained model, else "approximated"; None where the program holds no float
        network.
    accuracy, accuracy_interval
        Of each rung, None where it is unknown.
    paired_difference
        Accuracy of the integers less that of the highest rung; None without labels.
    highest
        The highest rung against the integers; None where there is none.
    top1_agreement_interval
        Of `top1_agreement`.
    float_approximated, approximated_fixed
        What the approximations change, and what the integers alone do; None where unknown.
    window_edges
        Steps at which windows of time begin, and the number of steps.
    state_samples, state_steps
        Numbers of the samples whose states were compared, and how many of their steps.
    per_sample
        One for each sample.
    saturations
        Integers clipped, by tensor.
    engines
        One for each pair of engines.
    checks
        What had to hold.
    warnings
        Saturated tensors, and a float model near chance; one line each.
    origin
        Where an imported model comes from, and what was assumed or given for it; else None.
    """

    samples: int
    steps: int
    highest_rung: str | None
    accuracy: Mapping[str, float | None]
    accuracy_interval: Mapping[str, Proportion | None]
    paired_difference: PairedComparison | None
    highest: RungResult | None
    top1_agreement_interval: Proportion | None
    float_approximated: RungResult | None
    approximated_fixed: RungResult | None
    window_edges: tuple[int, ...]
    state_samples: tuple[int, ...]
    state_steps: int
    per_sample: tuple[SampleResult, ...]
    saturations: Mapping[str, int]
    engines: tuple[EngineResult, ...]
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    origin: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)

    @property
    def exact(self) -> bool | None:
        """Whether the engines give equal integers; None where only one ran."""
        return all(pair.mismatches == 0 for pair in self.engines) if self.engines else None

    @property
    def survives(self) -> bool | None:
        """Whether the integers still predict what the highest rung predicts; None without one.

        That is what the check "top-1 agreement" asks: at least 98 %, unless a limit was given.
        """
        found = [check.ok for check in self.checks if check.name == TOP1]
        return all(found) if found else None

    @property
    def verdict(self) -> str:
        """Both in one line, for people."""
        compared = sum(pair.compared for pair in self.engines)
        engines = {
            None: "one engine ran, none was compared",
            True: f"the engines agree in all {compared:,} integers",
            False: "THE ENGINES DIFFER",
        }[self.exact]
        agreement = (
            "" if self.top1_agreement is None else f" ({self.top1_agreement:.2%} same top-1)"
        )
        model = {
            None: "no float model to compare with",
            True: f"the model survives{agreement}",
            False: f"THE MODEL DOES NOT SURVIVE{agreement}",
        }[self.survives]
        return f"{'passed' if self.passed else 'FAILED'}: {engines}; {model}"

    @property
    def top1_agreement(self) -> float | None:
        """Share of samples with the prediction of the highest rung."""
        return None if self.highest is None else self.highest.top1_agreement

    @property
    def layers(self) -> tuple[LayerResult, ...]:
        """The layers, between the highest rung and the integers."""
        return () if self.highest is None else self.highest.layers

    def to_json(self) -> dict[str, Any]:
        """Return the results under the keys that `neurossm verify --json` writes."""
        nothing: dict[str, Any] = {"top1_agreement": None, "layers": []}
        pairs = {
            "float_approximated": self.float_approximated,
            "approximated_fixed": self.approximated_fixed,
        }
        return {
            "samples": self.samples,
            "steps": self.steps,
            "highest_rung": self.highest_rung,
            "accuracy": dict(self.accuracy),
            "accuracy_interval": {
                rung: None if found is None else asdict(found)
                for rung, found in self.accuracy_interval.items()
            },
            "paired_difference": plain(self.paired_difference),
            **(nothing if self.highest is None else self.highest.to_json()),
            "top1_agreement_interval": plain(self.top1_agreement_interval),
            "rungs": {k: None if pair is None else pair.to_json() for k, pair in pairs.items()},
            "window_edges": list(self.window_edges),
            "state_samples": list(self.state_samples),
            "state_steps": self.state_steps,
            "per_sample": [plain(sample) for sample in self.per_sample],
            "saturations": dict(self.saturations),
            "engines": [plain(pair) for pair in self.engines],
            "checks": [plain(check) for check in self.checks],
            "warnings": list(self.warnings),
            "origin": self.origin,
            "exact": self.exact,
            "survives": self.survives,
            "passed": self.passed,
        }
