"""What a verification found, from the whole down to a layer in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

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
        return flat(self, "divergence", "states")


@dataclass(frozen=True)
class RungResult:
    """Two rungs: predictions that agree, spikes of any layer, and each layer."""

    top1_agreement: float
    divergence: Divergence
    layers: tuple[LayerResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the divergence beside the others."""
        layers = [layer.to_json() for layer in self.layers]
        return {**flat(self, "divergence"), "layers": layers}


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


def plain(value: Any) -> Any:
    """Return JSON's values: records as objects, tuples as lists."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def flat(record: Any, *inner: str) -> dict[str, Any]:
    """Return a record as JSON's values, with the fields of these records in their place."""
    found: dict[str, Any] = {}
    for name, value in plain(record).items():
        if name not in inner:
            found[name] = value
        elif value is not None:
            found |= value
    return found
