"""How far two rungs of parity are apart, layer by layer: spikes, values, and when they part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.program import Add, Program, Spike, Ternary

QUANTILES = (0.5, 0.9, 0.99, 1.0)
_MARGIN_SAMPLE = 200_000


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
        if isinstance(op, (Spike, Ternary)):
            adds = [later.name for later in program.ops[position:] if isinstance(later, Add)]
            residual = adds[0] if adds else None
            before = program.graph[op.name].inputs[0]  # a name both rungs have
            found.append(Layer(op.name.rpartition(".")[0], op.name, before, residual))
    return tuple(found)


@dataclass
class _Ratio:
    """Signal-to-noise ratio of a tensor, accumulated over samples."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, wanted: FloatArray, got: FloatArray) -> None:
        self.signal += float(np.vdot(wanted, wanted))
        difference = got - wanted
        self.noise += float(np.vdot(difference, difference))

    def decibel(self) -> float | None:
        """Return the ratio; None where there is no noise at all."""
        if self.noise == 0.0:
            return None
        return float(10 * np.log10(max(self.signal, 1e-300) / self.noise))


@dataclass
class LayerParity:
    """Statistics of one layer between an upper and a lower rung."""

    layer: Layer
    spikes: int = 0
    equal: int = 0
    upper_rate: int = 0
    before: _Ratio = field(default_factory=_Ratio)
    residual: _Ratio = field(default_factory=_Ratio)
    scale: float = 0.0
    first_flips: list[int] = field(default_factory=list)
    margins: list[FloatArray] = field(default_factory=list)

    def add(self, upper: dict[str, FloatArray], lower: dict[str, FloatArray]) -> None:
        """Add a group of samples: tensors (B, L, H) as real values on both rungs."""
        layer = self.layer
        spikes, others = upper[layer.spike], lower[layer.spike]
        flipped = spikes != others
        self.spikes += flipped.size
        self.equal += int(flipped.size - np.count_nonzero(flipped))
        self.upper_rate += int(np.count_nonzero(spikes))
        self.before.add(upper[layer.before], lower[layer.before])
        self.scale += float(np.vdot(upper[layer.before], upper[layer.before]))
        if layer.residual is not None:
            self.residual.add(upper[layer.residual], lower[layer.residual])
        self.margins.append(np.abs(upper[layer.before][flipped])[:_MARGIN_SAMPLE])
        at_step = flipped.any(axis=2)  # (B, L)
        first = np.where(at_step.any(axis=1), at_step.argmax(axis=1), -1)
        self.first_flips.extend(int(step) for step in first)

    def summary(self) -> dict[str, Any]:
        """Return the statistics as plain values; margins in units of the value's RMS."""
        rms = float(np.sqrt(self.scale / max(self.spikes, 1)))
        margins = np.concatenate(self.margins) / max(rms, 1e-300)
        diverged = [step for step in self.first_flips if step >= 0]
        return {
            "name": self.layer.name,
            "spike_agreement": self.equal / self.spikes,
            "spikes_compared": self.spikes,
            "spikes_flipped": self.spikes - self.equal,
            "firing_rate": self.upper_rate / self.spikes,
            "pre_threshold_snr_db": self.before.decibel(),
            "residual_snr_db": self.residual.decibel() if self.layer.residual else None,
            "flipped_margin_quantiles": {
                str(q): float(np.quantile(margins, q)) if margins.size else None for q in QUANTILES
            },
            "samples_diverged": len(diverged),
            "first_divergence_step": min(diverged, default=None),
            "median_divergence_step": float(np.median(diverged)) if diverged else None,
        }


class RungParity:
    """All layers and the predictions between two rungs."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        self.layers = [LayerParity(layer) for layer in layers]
        self.samples = 0
        self.same_top1 = 0

    def add(
        self,
        upper: dict[str, FloatArray],
        lower: dict[str, FloatArray],
        same_prediction: int,
    ) -> None:
        """Add a group of samples."""
        for layer in self.layers:
            layer.add(upper, lower)
        self.samples += len(next(iter(upper.values())))
        self.same_top1 += same_prediction

    def summary(self) -> dict[str, Any]:
        """Return the statistics as plain values."""
        return {
            "top1_agreement": self.same_top1 / self.samples,
            "layers": [layer.summary() for layer in self.layers],
        }
