"""How far two rungs of parity are apart, layer by layer and in time: spikes, values, divergence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray, IntArray
from neurossm.parity import margins
from neurossm.parity.results import (
    Decibels,
    Divergence,
    LayerResult,
    OverTime,
    RungResult,
    StateRatios,
)
from neurossm.program import Program

LEAST_WINDOWS, MOST_WINDOWS = 16, 32


@dataclass(frozen=True)
class Layer:
    """The tensors of one block that parity looks at; the names hold for graphs and programs."""

    name: str
    spike: str
    before: str
    residual: str | None

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names, without the missing."""
        return tuple(name for name in (self.spike, self.before, self.residual) if name)


def layers_of(program: Program) -> tuple[Layer, ...]:
    """List the spiking layers of a program with the residual sum that follows each."""
    found = []
    for position, op in enumerate(program.ops):
        if op.emits == "spikes":
            adds = [later.name for later in program.ops[position:] if later.merges]
            residual = adds[0] if adds else None
            before = program.graph[op.name].inputs[0]  # a name both rungs have
            found.append(Layer(op.layer, op.name, before, residual))
    return tuple(found)


def window_edges(steps: int) -> IntArray:
    """Return the steps at which windows of time begin, and the number of steps at the end.

    There are 16 to 32 windows: as many as divide the steps, the most if several numbers do; if
    none does, 32 that differ by a step. Fewer than 16 steps are a window each.
    """
    if steps < LEAST_WINDOWS:
        return np.arange(steps + 1)
    fitting = [w for w in range(LEAST_WINDOWS, MOST_WINDOWS + 1) if steps % w == 0]
    windows = max(fitting, default=min(MOST_WINDOWS, steps))
    return np.arange(windows + 1) * steps // windows


@dataclass(frozen=True, eq=False)
class Trace:
    """One layer of one sample on one rung.

    `spikes`, `before` and `residual` are (L, H); `bins` are the margins' bins (L, H), None on a
    rung that is nobody's upper one.
    """

    spikes: NDArray[Any]
    before: FloatArray
    residual: FloatArray | None
    bins: IntArray | None = None


@dataclass(frozen=True, eq=False)
class Difference:
    """What one layer of one sample contributes: counts and energies by window (W).

    A sample that ends early contributes nothing to the windows after its end.
    """

    compared: IntArray
    flips: IntArray
    first: int | None
    upper_spikes: int
    before: FloatArray
    residual: FloatArray | None
    margins: IntArray
    flipped_margins: IntArray


def compare(upper: Trace, lower: Trace, edges: IntArray) -> Difference:
    """Compare one layer of one sample on two rungs."""
    assert upper.bins is not None
    at = np.flatnonzero(upper.spikes != lower.spikes)
    length, channels = upper.spikes.shape
    steps = at // channels
    residual = None
    if upper.residual is not None and lower.residual is not None:
        residual = energies(upper.residual, lower.residual, edges)
    return Difference(
        compared=np.diff(np.minimum(edges, length)) * channels,
        flips=np.histogram(steps, edges)[0] if at.size else np.zeros(len(edges) - 1, np.int64),
        first=int(steps[0]) if at.size else None,
        upper_spikes=int(np.count_nonzero(upper.spikes)),
        before=energies(upper.before, lower.before, edges),
        residual=residual,
        margins=margins.count(upper.bins),
        flipped_margins=margins.count(upper.bins.ravel()[at]),
    )


def energies(wanted: FloatArray, got: FloatArray, edges: IntArray) -> FloatArray:
    """Return the energy of the signal and of the error in each window, (2, W)."""
    error = got - wanted
    by_step = np.stack([np.einsum("th,th->t", x, x) for x in (wanted, error)])  # (2, L)
    energy = np.zeros((2, len(edges) - 1))
    starts = edges[:-1][edges[:-1] < len(wanted)]
    energy[:, : len(starts)] = np.add.reduceat(by_step, starts, axis=1)
    return energy


def decibel(signal: float, noise: float) -> float | None:
    """Return the ratio of two energies in dB; None where there is no noise at all."""
    if noise == 0.0:
        return None
    return float(10 * np.log10(max(signal, 1e-300) / noise))


def decibels(energy: FloatArray) -> Decibels:
    """Return the ratio of each window of (2, W)."""
    return tuple(decibel(float(signal), float(noise)) for signal, noise in energy.T)


class LayerParity:
    """Statistics of one layer between an upper and a lower rung."""

    def __init__(self, layer: Layer, edges: IntArray) -> None:
        windows = len(edges) - 1
        self.layer = layer
        self.compared = np.zeros(windows, np.int64)
        self.flips = np.zeros(windows, np.int64)
        self.upper_spikes = 0
        self.before = np.zeros((2, windows))
        self.residual = np.zeros((2, windows))
        self.margins = np.zeros(margins.BINS, np.int64)
        self.flipped_margins = np.zeros(margins.BINS, np.int64)
        self.first: list[int | None] = []

    def add(self, difference: Difference) -> None:
        """Add a sample."""
        self.compared += difference.compared
        self.flips += difference.flips
        self.upper_spikes += difference.upper_spikes
        self.before += difference.before
        if difference.residual is not None:
            self.residual += difference.residual
        self.margins += difference.margins
        self.flipped_margins += difference.flipped_margins
        self.first.append(difference.first)

    def result(self, states: StateRatios | None) -> LayerResult:
        """Return the statistics, with those of the states."""
        compared = int(self.compared.sum())
        flipped = int(self.flips.sum())
        signal, noise = self.before.sum(axis=1).tolist()
        rms = float(np.sqrt(signal / compared)) or 1.0
        residual = self.residual if self.layer.residual else None
        in_time = 1 - self.flips / self.compared
        return LayerResult(
            name=self.layer.name,
            spike_agreement=(compared - flipped) / compared,
            spikes_compared=compared,
            spikes_flipped=flipped,
            firing_rate=self.upper_spikes / compared,
            pre_threshold_snr_db=decibel(signal, noise),
            pre_threshold_error=float(np.sqrt(noise / compared)) / rms,
            residual_snr_db=None if residual is None else decibel(*residual.sum(axis=1)),
            flipped_margin_quantiles=margins.quantiles(self.flipped_margins, rms),
            margins=margins.by_octave(self.margins, self.flipped_margins, rms),
            divergence=divergence(self.first),
            over_time=OverTime(
                spike_agreement=tuple(in_time.tolist()),
                pre_threshold_snr_db=decibels(self.before),
                residual_snr_db=None if residual is None else decibels(residual),
            ),
            states=states,
        )


def divergence(first: list[int | None]) -> Divergence:
    """Return how many samples diverge, the earliest and the median step at which they do."""
    steps = [step for step in first if step is not None]
    return Divergence(
        samples_diverged=len(steps),
        first_divergence_step=min(steps, default=None),
        median_divergence_step=float(np.median(steps)) if steps else None,
    )


class RungParity:
    """All layers and the predictions between two rungs, sample by sample."""

    def __init__(self, layers: tuple[Layer, ...], edges: IntArray) -> None:
        self.layers = [LayerParity(layer, edges) for layer in layers]
        self.same_top1: list[bool] = []
        self.agreements: list[float | None] = []
        self.first: list[tuple[int, str] | None] = []

    def add(self, differences: list[Difference], *, same_predictions: list[bool]) -> None:
        """Add a sample, layer by layer; `agreements` gets its share of equal spikes."""
        diverged: list[tuple[int, str]] = []
        for layer, difference in zip(self.layers, differences, strict=True):
            layer.add(difference)
            if difference.first is not None:
                diverged.append((difference.first, layer.layer.name))
        # Layers are in order: of those that diverge at the same step, min finds the first.
        self.first.append(min(diverged, key=lambda found: found[0], default=None))
        compared, flips = (
            sum(int(getattr(difference, name).sum()) for difference in differences)
            for name in ("compared", "flips")
        )
        self.agreements.append(1 - flips / compared if compared else None)
        self.same_top1 += same_predictions

    def result(self, states: Mapping[str, StateRatios]) -> RungResult:
        """Return the statistics, with those of the states by the name of what reads them."""
        return RungResult(
            top1_agreement=sum(self.same_top1) / len(self.same_top1),
            divergence=divergence([None if found is None else found[0] for found in self.first]),
            layers=tuple(layer.result(states.get(layer.layer.before)) for layer in self.layers),
        )
