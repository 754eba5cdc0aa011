"""Three rungs of parity: trained float model, approximated float graph, integer program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.compiler import load_graph
from neurossm.engine import run
from neurossm.errors import InputError
from neurossm.graph import Graph
from neurossm.graph.evaluate import evaluate
from neurossm.parity.engines import EngineParity, compared_tensors, pairs
from neurossm.parity.layers import Layer, RungParity, layers_of
from neurossm.parity.statistics import Proportion, compare_paired
from neurossm.program import Program, Run, Tally

if TYPE_CHECKING:
    from torch import nn

_GROUP = 16
"""Samples evaluated at once: traces of all three rungs are in memory for so many."""

RUNGS = ("float", "approximated", "fixed")


@dataclass(frozen=True)
class Check:
    """One condition: `value` must be at least `limit` (or at most, for counts of failures)."""

    name: str
    value: float
    limit: float
    ok: bool


@dataclass(frozen=True, eq=False)
class Verification:
    """The outcome of `verify`.

    Parameters
    ----------
    results
        The contents of the JSON report, `checks` and `passed` included.
    passed
        Whether every check holds.
    warnings
        Saturated tensors, one line each.
    """

    results: dict[str, Any]
    passed: bool
    warnings: tuple[str, ...]


def verify(
    program: Program,
    data: NDArray[np.generic],
    labels: IntArray | None = None,
    model: str | Path | Graph | nn.Module | None = None,
    engines: Sequence[str] = ("reference",),
    min_agreement: float | None = None,
    max_drop: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Compare a program with the float networks it stands for, and engines with each other.

    Parameters
    ----------
    program
        The integer program.
    data
        (samples, L, size), or (samples, L) for one channel.
    labels
        (samples) class numbers, for accuracies.
    model
        The trained model (checkpoint, graph file, graph or module): the highest rung. Without it
        the approximated graph inside the program is the highest.
    engines
        The first one's integers are compared with the float rungs; each pair is compared
        integer by integer.
    min_agreement
        Least spike agreement of every layer, and top-1 agreement, as fractions.
    max_drop
        Largest loss of accuracy from the highest rung to the integers, as a fraction.
    progress
        Called with the number of samples done since the last call.

    Raises
    ------
    InputError
        Data that do not suit, unknown engine, `max_drop` without labels, labels that do not fit.
    """
    if max_drop is not None and labels is None:
        raise InputError("max_drop needs labels: the data have no y")
    if labels is not None and (labels.min() < 0 or labels.max() >= program.readout.out.channels):
        raise InputError(
            f"labels reach from {labels.min()} to {labels.max()}; the model has classes "
            f"0 to {program.readout.out.channels - 1}"
        )
    program.encode(data)  # say what is wrong with all data before working on some
    session = _Session(program, _trained_graph(model, program), tuple(engines))
    for start in range(0, len(data), _GROUP):
        group = data[start : start + _GROUP]
        session.add(group, start)
        if progress is not None:
            progress(len(group))
    return session.finish(labels, min_agreement, max_drop)


def _trained_graph(model: Any, program: Program) -> Graph | None:
    if model is None:
        return None
    graph, _ = load_graph(model)
    ours, theirs = program.provenance.get("model", {}), graph.provenance
    if ours.get("sha256") and theirs.get("sha256") and ours["sha256"] != theirs["sha256"]:
        raise InputError(
            f"the program was not compiled from this model: it came from sha256 "
            f"{ours['sha256'][:12]}…, the model given has {theirs['sha256'][:12]}…"
        )
    return graph


class _Session:
    """Accumulates statistics group by group."""

    def __init__(self, program: Program, trained: Graph | None, engines: tuple[str, ...]) -> None:
        self.program = program
        self.trained = trained
        self.engines = tuple(dict.fromkeys(engines))
        self.layers: tuple[Layer, ...] = layers_of(program)
        self.names = tuple(dict.fromkeys(name for layer in self.layers for name in layer.tensors))
        self.watched = compared_tensors(program)
        self.engine_pairs: list[EngineParity] = pairs(self.engines)
        self.predictions: dict[str, list[IntArray]] = {rung: [] for rung in RUNGS}
        self.saturations = Tally()
        self.approximated_fixed = RungParity(self.layers)
        self.float_approximated = RungParity(self.layers)
        self.float_fixed = RungParity(self.layers)

    def add(self, data: NDArray[np.generic], offset: int) -> None:
        """Run a group of samples on every rung and every engine."""
        fixed, fixed_top = self._fixed(data, offset)
        approximated, approximated_top = self._float(self.program.graph, data)
        same = int(np.count_nonzero(fixed_top == approximated_top))
        self.approximated_fixed.add(approximated, fixed, same)
        self.predictions["fixed"].append(fixed_top)
        self.predictions["approximated"].append(approximated_top)
        if self.trained is None:
            return
        trained, trained_top = self._float(self.trained, data)
        self.predictions["float"].append(trained_top)
        same = int(np.count_nonzero(trained_top == approximated_top))
        self.float_approximated.add(trained, approximated, same)
        self.float_fixed.add(trained, fixed, int(np.count_nonzero(trained_top == fixed_top)))

    def _float(
        self, graph: Graph, data: NDArray[np.generic]
    ) -> tuple[dict[str, FloatArray], IntArray]:
        values = evaluate(graph, data, self.names)
        return values, values[graph.output.name].argmax(axis=-1)

    def _fixed(
        self, data: NDArray[np.generic], offset: int
    ) -> tuple[dict[str, FloatArray], IntArray]:
        record = dict.fromkeys((*self.names, *self.watched))
        runs: dict[str, Run] = {}
        for engine in self.engines:
            names = record if engine == self.engines[0] else self.watched
            runs[engine] = run(self.program, data, engine=engine, record=names)
        for pair in self.engine_pairs:
            pair.add(runs[pair.a], runs[pair.b], self.watched, offset)
        first = runs[self.engines[0]]
        self.saturations.update(first.saturations)
        values = {name: self.program[name].out.to_float(first.tensors[name]) for name in self.names}
        return values, first.logits.argmax(axis=1)

    def finish(
        self, labels: IntArray | None, min_agreement: float | None, max_drop: float | None
    ) -> Verification:
        """Return the results of all samples."""
        highest = self.approximated_fixed if self.trained is None else self.float_fixed
        top = highest.summary()
        rungs = {
            "float_approximated": None
            if self.trained is None
            else self.float_approximated.summary(),
            "approximated_fixed": self.approximated_fixed.summary(),
        }
        results: dict[str, Any] = {
            "samples": highest.samples,
            "highest_rung": "approximated" if self.trained is None else "float",
            **self._accuracies(labels),
            **top,
            "rungs": rungs,
            "saturations": dict(self.saturations),
            "engines": [asdict(pair) for pair in self.engine_pairs],
        }
        checks = [*self._engine_checks(), *_gates(results, min_agreement, max_drop)]
        passed = all(check.ok for check in checks)
        results |= {"checks": [asdict(check) for check in checks], "passed": passed}
        warnings = tuple(
            f"{count} integers of {name} were clipped: its range is calibrated, not proved"
            for name, count in self.saturations.items()
        )
        return Verification(results, passed, warnings)

    def _accuracies(self, labels: IntArray | None) -> dict[str, Any]:
        accuracy: dict[str, float | None] = dict.fromkeys(RUNGS)
        intervals: dict[str, Any] = dict.fromkeys(RUNGS)
        right: dict[str, NDArray[np.bool_]] = {}
        for rung, parts in self.predictions.items():
            if labels is None or not parts:
                continue
            right[rung] = np.concatenate(parts) == labels
            share = Proportion.of(int(right[rung].sum()), len(labels))
            accuracy[rung], intervals[rung] = share.value, asdict(share)
        highest = right.get("float", right.get("approximated"))
        paired = None
        if highest is not None:
            paired = asdict(compare_paired(highest, right["fixed"]))
        return {"accuracy": accuracy, "accuracy_interval": intervals, "paired_difference": paired}

    def _engine_checks(self) -> Iterable[Check]:
        for pair in self.engine_pairs:
            name = f"{pair.a} equals {pair.b}"
            yield Check(name, pair.mismatches, 0, pair.mismatches == 0)
        proved = sum(count for name, count in self.saturations.items() if self._is_proved(name))
        yield Check("no saturation where proved", proved, 0, proved == 0)

    def _is_proved(self, tensor: str) -> bool:
        from neurossm.program import SSM

        name = tensor.removesuffix(".state")
        op = self.program[name]
        if tensor != name and isinstance(op, SSM):
            return op.states_proved(self.program[op.inputs[0]].out.interval)
        return op.out.proved


def _gates(
    results: dict[str, Any], min_agreement: float | None, max_drop: float | None
) -> Iterable[Check]:
    if min_agreement is not None:
        named = {f"{row['name']} spikes": row["spike_agreement"] for row in results["layers"]}
        for name, value in {"top-1 agreement": results["top1_agreement"], **named}.items():
            yield Check(name, value, min_agreement, value >= min_agreement)
    if max_drop is not None:
        drop = -results["paired_difference"]["difference"]
        yield Check("accuracy drop", drop, max_drop, drop <= max_drop)
