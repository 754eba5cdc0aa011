"""What a reduction did, layer by layer and channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.models.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class LayerReduction:
    """One layer.

    Parameters
    ----------
    name
        Such as "blocks.0".
    before
        Modes of each channel before.
    counts
        Modes (H) that each channel keeps.
    error
        Relative error (H) of each channel's impulse response, summed step by step over the
        sequence: `||K' - K|| / ||K||`, D included; NaN where a channel had none.
    weighted_error
        The same (H) weighted by the spectrum of the input: the error of the output on data.
    unread, silent, constant
        Channels whose spikes no weight reads; that never spiked, or always, on the calibration
        data. Unless they were to be kept, they have lost their modes.
    """

    name: str
    before: int
    counts: IntArray
    error: FloatArray
    weighted_error: FloatArray
    unread: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()
    constant: tuple[int, ...] = ()

    def row(self) -> tuple[str, int, int, str, str, str, str]:
        """Return the layer's row of the table that `neurossm reduce` prints."""
        some = self.counts > 0
        impulse, output = (
            f"{np.median(e[some]):.2%}, {e[some].max():.2%}" if some.any() else "none"
            for e in (self.error, self.weighted_error)
        )
        dead = [("unread", self.unread), ("silent", self.silent), ("constant", self.constant)]
        return (
            self.name,
            int(self.counts.sum()),
            self.before * len(self.counts),
            f"{self.counts.min()} to {self.counts.max()}",
            impulse,
            output,
            ", ".join(f"{len(which)} {name}" for name, which in dead if which) or "none",
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values; None for an error that is not defined."""
        return {
            "name": self.name,
            "modes_before": self.before * len(self.counts),
            "modes": int(self.counts.sum()),
            "counts": self.counts.tolist(),
            "error": [None if e != e else e for e in self.error.tolist()],
            "weighted_error": [None if e != e else e for e in self.weighted_error.tolist()],
            "dead": {
                "unread": list(self.unread),
                "silent": list(self.silent),
                "constant": list(self.constant),
            },
        }


@dataclass(frozen=True, eq=False)
class Reduction:
    """A model of fewer modes, and what that changed.

    Parameters
    ----------
    checkpoint
        The reduced model with what travels with it.
    layers
        What became of each layer.
    length
        Steps of the responses that were fitted.
    weighted
        Whether the error was weighted by the spectrum of data; else all frequencies count alike.
    accuracy
        Float accuracy before and after on labelled data; None without any.
    """

    checkpoint: Checkpoint
    layers: tuple[LayerReduction, ...]
    length: int
    weighted: bool
    accuracy: tuple[float, float] | None = None

    @property
    def modes(self) -> tuple[int, int]:
        """Modes of all channels, before and after."""
        before = sum(layer.before * len(layer.counts) for layer in self.layers)
        return before, sum(int(layer.counts.sum()) for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return the results under the keys that `neurossm reduce --json` writes."""
        before, after = self.modes
        return {
            "modes_before": before,
            "modes": after,
            "length": self.length,
            "weighted": self.weighted,
            "accuracy": None
            if self.accuracy is None
            else {"before": self.accuracy[0], "after": self.accuracy[1]},
            "layers": [layer.to_json() for layer in self.layers],
        }
