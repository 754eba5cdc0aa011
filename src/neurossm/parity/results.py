"""What a verification found, from the whole down to a layer in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from neurossm.parity.statistics import PairedComparison, Proportion

TOP1 = "top-1 agreement"
"""Name of the check that a model survives."""
RUNGS = ("float", "approximated", "fixed")

Decibels = tuple[float | None, ...]
"""Ratios by window of time; None where there is no noise at all."""


@dataclass(frozen=True)
class Check:
    """One condition: `value` must be at least `limit` (or at most, for counts of failures)."""

    name: str
    value: float
    limit: float
    ok: bool


@dataclass(frozen=True)
class Divergence:
    """How many samples' spikes differ at all, and the earliest and the median step they begin."""

    samples_diverged: int
    first_divergence_step: int | None
    median_divergence_step: float | None


@dataclass(frozen=True)
class Margins:
    """Distances from the threshold by octave, over the values' RMS: of all, of flipped spikes."""

    edges: tuple[float, ...]
    all: tuple[int, ...]
    flipped: tuple[int, ...]


@dataclass(frozen=True)
class OverTime:
    """Agreement and ratios in each window of time."""

    spike_agreement: tuple[float, ...]
    pre_threshold_snr_db: Decibels
    residual_snr_db: Decibels | None


@dataclass(frozen=True)
class StateRatios:
    """Signal-to-noise ratios of an SSM's states: of all, by window, by quantile of the modes."""

    state_snr_db: float | None
    state_snr_db_over_time: Decibels
    state_snr_db_by_mode: Mapping[str, float | None]


@dataclass(frozen=True)
class LayerResult:
    """One layer between an upper and a lower rung; margins in units of the values' RMS.

    The residual's ratios are None where no sum follows, `states` where none were compared.
    """

    name: str
    spike_agreement: float
    spikes_compared: int
    spikes_flipped: int
    firing_rate: float
    pre_threshold_snr_db: float | None
    pre_threshold_error: float
    residual_snr_db: float | None
    flipped_margin_quantiles: Mapping[str, float | None]
    margins: Margins
    divergence: Divergence
    over_time: OverTime
    states: StateRatios | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, divergence and states beside the others."""
        return _flat(self, "divergence", "states")


@dataclass(frozen=True)
class RungResult:
    """Two rungs: predictions that agree, spikes of any layer, and each layer."""

    top1_agreement: float
    divergence: Divergence
    layers: tuple[LayerResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the divergence beside the others."""
        layers = [layer.to_json() for layer in self.layers]
        return {**_flat(self, "divergence"), "layers": layers}


@dataclass(frozen=True)
class SampleResult:
    """One sample: steps, label, predictions by rung, equal spikes, where they first differ."""

    steps: int
    label: int | None
    prediction: Mapping[str, int | None]
    spike_agreement: float | None
    first_divergence: FirstDivergence | None


@dataclass(frozen=True)
class FirstDivergence:
    """Where a sample's spikes first differ."""

    step: int
    layer: str


@dataclass(frozen=True)
class Mismatch:
    """One integer in which two engines differ: the first, by step, then in the program's order.

    `tensor` is an operation's name, or an SSM's with ":state_re" or ":state_im", or "logits";
    `index` is the place within the step: channel, or channel and mode. `step` of logits is the
    last one.
    """

    operation: str
    type: str
    layer: str
    tensor: str
    sample: int
    step: int
    index: tuple[int, ...]
    a: int
    b: int

    def sentence(self, first: str, second: str) -> str:
        """Return it in words."""
        return (
            f"{self.operation} ({self.type}, layer {self.layer}), tensor {self.tensor}, sample "
            f"{self.sample}, step {self.step}, index {self.index}: {first} {self.a}, "
            f"{second} {self.b}"
        )


@dataclass(frozen=True)
class EngineResult:
    """Comparison of two engines on the same program and data.

    `compared` counts integers, `by_tensor` splits them by tensor, `first_mismatch` says in words
    where the engines first differ (None if nowhere), `mismatch` in numbers. `samples_in_full` is
    the number of samples of which every tensor and every state was compared. `reproducer` is the
    command that shows the first mismatch on the smallest program that was found.
    """

    a: str
    b: str
    compared: int
    mismatches: int
    samples_in_full: int
    first_mismatch: str | None
    mismatch: Mismatch | None
    reproducer: str | None
    by_tensor: Mapping[str, int]


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
            "paired_difference": _plain(self.paired_difference),
            **(nothing if self.highest is None else self.highest.to_json()),
            "top1_agreement_interval": _plain(self.top1_agreement_interval),
            "rungs": {k: None if pair is None else pair.to_json() for k, pair in pairs.items()},
            "window_edges": list(self.window_edges),
            "state_samples": list(self.state_samples),
            "state_steps": self.state_steps,
            "per_sample": [_plain(sample) for sample in self.per_sample],
            "saturations": dict(self.saturations),
            "engines": [_plain(pair) for pair in self.engines],
            "checks": [_plain(check) for check in self.checks],
            "warnings": list(self.warnings),
            "origin": self.origin,
            "exact": self.exact,
            "survives": self.survives,
            "passed": self.passed,
        }


def _plain(value: Any) -> Any:
    """Return JSON's values: records as objects, tuples as lists."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _flat(record: Any, *inner: str) -> dict[str, Any]:
    """Return a record as JSON's values, with the fields of these records in their place."""
    found: dict[str, Any] = {}
    for name, value in _plain(record).items():
        if name not in inner:
            found[name] = value
        elif value is not None:
            found |= value
    return found
