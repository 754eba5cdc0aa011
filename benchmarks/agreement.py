"""What all comparisons with the float model share: its outputs, kept, and how programs differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import ROOT, digits

from neurossm.compile.compiler import load_graph
from neurossm.engine import cpu as fast
from neurossm.graph import Graph, SpikeNode, TernaryNode
from neurossm.graph.evaluate import evaluate
from neurossm.parity.statistics import PairedComparison, compare_paired
from neurossm.program import Program

_GROUP = 40
"""Samples whose spikes are in memory at once."""


def checkpoint(model: str) -> Path:
    """Return the path of a shipped model."""
    return ROOT / f"examples/smnist/{model}.pt"


@dataclass(frozen=True, eq=False)
class Comparison:
    """A program against the trained model in float64, on the same digits.

    Parameters
    ----------
    accuracy
        Of the program.
    paired
        Its accuracy less the float model's.
    top1
        Share of equal predictions.
    snr_db
        Of the logits, their mean over the classes removed.
    spikes
        Share of equal spikes by layer; empty unless asked for.
    saturations
        Integers that were clipped.
    """

    accuracy: float
    paired: PairedComparison
    top1: float
    snr_db: float
    spikes: tuple[float, ...]
    saturations: int


class FloatModel:
    """A shipped model evaluated in float64: all logits once, spikes group by group."""

    def __init__(self, model: str, limit: int, cache: Path | None = None) -> None:
        self.graph: Graph = load_graph(checkpoint(model))[0]
        self.x, self.y = digits(limit)
        self.spikes = [n.name for n in self.graph.nodes if isinstance(n, (SpikeNode, TernaryNode))]
        self.packed: dict[str, list[np.ndarray]] = {}
        self.logits = self._logits(cache)
        self.accuracy = float((self.logits.argmax(axis=1) == self.y).mean())

    def _logits(self, cache: Path | None) -> np.ndarray:
        if cache is not None and cache.exists():
            kept = np.load(cache)
            if len(kept) >= len(self.x):
                return kept[: len(self.x)]
        logits = np.concatenate([values[self.graph.output.name] for _, values in self._groups(())])
        if cache is not None:
            np.save(cache, logits)
        return logits

    def _groups(self, record: tuple[str, ...]) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        for start in range(0, len(self.x), _GROUP):
            part = slice(start, start + _GROUP)
            yield part, evaluate(self.graph, self.x[part], record)

    def keep_spikes(self) -> None:
        """Evaluate the spikes of all digits and keep them, a byte each."""
        if self.packed:
            return
        self.packed = {name: [] for name in self.spikes}
        for _, values in self._groups(tuple(self.spikes)):
            for name in self.spikes:
                self.packed[name].append(_signs(values[name]))

    def compare(self, program: Program, *, spikes: bool = False) -> Comparison:
        """Run a program on the same digits."""
        if spikes:
            logits, equal, clipped = self._with_spikes(program)
        else:
            ran = fast.run(program, self.x)
            logits, equal, clipped = ran.logits, (), sum(ran.saturations.values())
        top = logits.argmax(axis=1)
        wanted = self.logits.argmax(axis=1)
        return Comparison(
            float((top == self.y).mean()),
            compare_paired(wanted == self.y, top == self.y),
            float((top == wanted).mean()),
            snr_db(self.logits, program.readout.out.to_float(logits)),
            equal,
            clipped,
        )

    def _with_spikes(self, program: Program) -> tuple[np.ndarray, tuple[float, ...], int]:
        self.keep_spikes()
        different = dict.fromkeys(self.spikes, 0)
        logits, clipped, count = [], 0, 0
        for group, start in enumerate(range(0, len(self.x), _GROUP)):
            ran = fast.run(program, self.x[start : start + _GROUP], record=self.spikes)
            logits.append(ran.logits)
            clipped += sum(ran.saturations.values())
            count += ran.tensors[self.spikes[0]].size
            for name in self.spikes:
                changed = _signs(ran.tensors[name]) != self.packed[name][group]
                different[name] += int(np.count_nonzero(changed))
        return (
            np.concatenate(logits),
            tuple(1 - different[name] / count for name in self.spikes),
            clipped,
        )


def _signs(spikes: np.ndarray) -> np.ndarray:
    """Return spikes of -1, 0 and 1 as bytes."""
    return spikes.astype(np.int8)


def snr_db(wanted: np.ndarray, got: np.ndarray) -> float:
    """Return the signal-to-noise ratio of logits (B, C); what all classes share is no signal."""
    wanted = wanted - wanted.mean(axis=1, keepdims=True)
    got = got - got.mean(axis=1, keepdims=True)
    return float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))
