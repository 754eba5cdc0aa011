"""Runs all samples on every rung and every engine, and gathers the statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm import registry
from neurossm.arrays import FloatArray, IntArray
from neurossm.graph import Graph
from neurossm.graph.evaluate import GraphEvaluator
from neurossm.graph.sequences import Sequences
from neurossm.parity import margins
from neurossm.parity.engines import (
    LOGITS,
    MEMORY_BYTES,
    compared_tensors,
    in_batches,
    in_program_order,
    pairs,
)
from neurossm.parity.layers import (
    Difference,
    Layer,
    RungParity,
    Trace,
    compare,
    layers_of,
    window_edges,
)
from neurossm.parity.outcome import Verification
from neurossm.parity.reproduce import smallest_case, write_case
from neurossm.parity.results import RUNGS, FirstDivergence, SampleResult, StateRatios
from neurossm.parity.states import compare_states, states_steps
from neurossm.parity.statistics import Proportion, compare_paired
from neurossm.program import SSM, Program, Run, Tally
from neurossm.progress import Meter, Progress
from neurossm.threads import usable_cores

_PIECE_VALUES = 1 << 16
"""Values of a tensor that are evaluated at once in a thread: what a core's cache can hold."""

Pair = tuple[str, str]


class Comparison:
    """One verification: a program, its float rungs, engines and samples."""

    def __init__(
        self,
        program: Program,
        trained: Graph | None,
        engines: tuple[str, ...],
        samples: Sequences,
    ) -> None:
        self.program, self.engines, self.samples = program, engines, samples
        self.steps = int(samples.steps.max())
        has_floats = len(program.graph.nodes) > 1
        self.layers: tuple[Layer, ...] = layers_of(program) if has_floats else ()
        self.names = tuple(dict.fromkeys(name for layer in self.layers for name in layer.tensors))
        graphs = {"approximated": program.graph} if has_floats else {}
        if trained is not None:
            graphs = {"float": trained, **graphs}
        self.floats = {name: GraphEvaluator(graph, self.names) for name, graph in graphs.items()}
        rungs = [*self.floats, "fixed"]
        self.pairs: list[Pair] = [
            (upper, lower) for i, upper in enumerate(rungs) for lower in rungs[i + 1 :]
        ]
        self.highest = self.pairs[0][0] if self.pairs else None
        self.edges = window_edges(self.steps)
        self.rung_parity = {pair: RungParity(self.layers, self.edges) for pair in self.pairs}
        self.predictions: dict[str, list[IntArray]] = {rung: [] for rung in rungs}
        self.watched = compared_tensors(program) if len(engines) > 1 else ()
        self.engine_pairs = pairs(engines)
        self.saturations = Tally()
        self.states: dict[Pair, dict[str, StateRatios]] = {}
        self.state_samples: IntArray = np.zeros(0, np.int64)

    def run(self, progress: Progress | None = None) -> None:
        """Run every sample on every rung and engine."""
        record = tuple(dict.fromkeys((*self.names, *self.watched)))
        group = self._group(record)
        meter = Meter(progress, "verifying", self.samples.steps.sum())
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(self.samples), group):
                samples = np.arange(start, min(start + group, len(self.samples)))
                run = self._run_engines(samples, record)
                piece = max(1, _PIECE_VALUES // self._values(record))
                parts = list(self.samples[samples].whole(piece))
                for part in pool.map(partial(self._measure, run), parts):
                    self._merge(part)
                meter.add(self.samples[samples].steps.sum())

    def _group(self, names: Sequence[str]) -> int:
        """Return how many samples' recorded integers fit the memory meant for them."""
        channels = sum(self.program[name].out.channels for name in names)
        return max(1, MEMORY_BYTES // (8 * self.steps * max(channels, 1)))

    def _values(self, names: Sequence[str]) -> int:
        widest = max((self.program[name].out.channels for name in names), default=1)
        return self.steps * widest

    def _run_engines(self, samples: IntArray, record: tuple[str, ...]) -> Run:
        """Run a group on all engines, compare them, and return the first one's tensors."""
        runs: dict[str, Run] = {}
        for engine in self.engines:
            names = record if engine == self.engines[0] else self.watched
            runs[engine] = self._run(samples, engine, names)
        self._compare(runs, (*self.watched, LOGITS), samples)
        first = runs[self.engines[0]]
        self.saturations.update(first.saturations)
        self.predictions["fixed"] += [
            self._answers(logits, int(steps))
            for logits, steps in zip(first.logits, self.samples[samples].steps, strict=True)
        ]
        return first

    def _answers(self, logits: NDArray[Any], steps: int) -> IntArray:
        """Return the class of a sample, (1), or those of its steps, (steps)."""
        each = logits[:steps] if self.program.readout.streams else logits[None]
        classes: IntArray = each.argmax(axis=-1)
        return classes

    def answers_wanted(self, labels: IntArray | None) -> IntArray | None:
        """Return the labels of all answers, sample by sample."""
        if labels is None or not self.program.readout.streams:
            return labels
        wanted: IntArray = self.samples.joined(labels)
        return wanted

    def _run(self, samples: IntArray, engine: str, names: Sequence[str]) -> Run:
        part = self.samples[samples]
        return registry.run(self.program, part.x, engine, names, lengths=part.lengths)

    def _compare(self, runs: dict[str, Run], names: Sequence[str], samples: IntArray) -> None:
        """Compare the engines' integers of these samples, up to each one's end."""
        steps = self.samples[samples].steps
        for pair in self.engine_pairs:
            pair.add(self.program, runs[pair.a], runs[pair.b], names, samples, steps)

    def _measure(self, run: Run, part: tuple[slice, NDArray[np.generic]]) -> list[_Sample]:
        """Compare the rungs on a few samples of one length, cut to it: which of the group's."""
        if not self.floats:
            return []
        which, x = part
        values = {name: rung(x) for name, rung in self.floats.items()}
        found = []
        for i, sample in enumerate(range(which.start, which.stop)):
            fixed = {name: run.tensors[name][sample, : x.shape[1]] for name in self.names}
            traces = {"fixed": [self._fixed_trace(fixed, layer) for layer in self.layers]}
            top = {"fixed": self._answers(run.logits[sample], x.shape[1])}
            for name, rung in self.floats.items():
                tensors = {key: value[i] for key, value in values[name].items()}
                traces[name] = [_float_trace(rung.graph, layer, tensors) for layer in self.layers]
                top[name] = self._answers(tensors[rung.graph.output.name], x.shape[1])
            differences = {
                (upper, lower): [
                    compare(one, two, self.edges)
                    for one, two in zip(traces[upper], traces[lower], strict=True)
                ]
                for upper, lower in self.pairs
            }
            found.append(_Sample(top, differences))
        return found

    def _fixed_trace(self, tensors: dict[str, IntArray], layer: Layer) -> Trace:
        def real(name: str) -> FloatArray:
            scale = np.exp2(-self.program[name].out.exponent.astype(np.float64))
            value: FloatArray = tensors[name] * scale
            return value

        residual = None if layer.residual is None else real(layer.residual)
        return Trace(tensors[layer.spike], real(layer.before), residual)

    def _merge(self, samples: list[_Sample]) -> None:
        """Add samples, in their order: sums do not depend on the threads."""
        for sample in samples:
            for rung in self.floats:
                self.predictions[rung].append(sample.top[rung])
            for (upper, lower), parity in self.rung_parity.items():
                same = (sample.top[upper] == sample.top[lower]).tolist()
                parity.add(sample.differences[upper, lower], same_predictions=same)

    def compare_states(self, samples: IntArray) -> None:
        """Compare the states of these samples with those of the float rungs."""
        if not self.pairs or not len(samples):
            return
        self.state_samples = samples
        steps = states_steps(self.program, self.steps)
        x = [part[0, :steps] for _, part in self.samples[samples].whole(1)]
        edges = np.append(self.edges[self.edges < steps], steps)
        drives = {
            name: GraphEvaluator(rung.graph, _drives(self.program, rung.graph))
            for name, rung in self.floats.items()
        }
        self.states = compare_states(self.program, x, self.engines[0], drives, self.pairs, edges)

    def compare_engines(self, full: IntArray, folder: Path | None) -> None:
        """Compare every tensor and state of some samples; cut mismatches down to small programs."""
        if not self.engine_pairs:
            return
        rest = [name for name in in_program_order(self.program) if name != LOGITS]
        rest = [name for name in rest if name not in self.watched]
        for samples, names in self._batches(rest, full):
            runs = {engine: self._run(samples, engine, names) for engine in self.engines}
            self._compare(runs, names, samples)
        for pair in self.engine_pairs:
            pair.samples_in_full = len(full)
            if pair.mismatch is None:
                continue
            number = pair.mismatch.sample
            ((_, alone),) = self.samples[number : number + 1].whole(1)
            case = smallest_case(self.program, alone, pair.a, pair.b)
            if case is None:
                pair.first_mismatch = f"{pair.first_mismatch}; not when the sample runs alone"
                continue
            pair.note(case.origin, number)
            if folder is not None:
                name = f"mismatch-{pair.a}-{pair.b}".replace(":", "-")
                pair.reproducer = write_case(case, folder / name, pair.a, pair.b)

    def _batches(
        self, names: Sequence[str], samples: IntArray
    ) -> Iterator[tuple[IntArray, tuple[str, ...]]]:
        """Split samples and names so that what is recorded fits the memory meant for it."""
        steps = self.steps
        together = 1
        while together < len(samples):
            if len(list(in_batches(self.program, names, 2 * together * steps))) > 1:
                break
            together *= 2
        for start in range(0, len(samples), together):
            for batch in in_batches(self.program, names, together * steps):
                yield samples[start : start + together], batch

    def result(self, labels: IntArray | None) -> Verification:
        """Return everything found, nothing of it checked yet."""
        pairs = {
            pair: parity.result(self.states.get(pair, {}))
            for pair, parity in self.rung_parity.items()
        }
        top = None
        if self.highest is not None:
            same = self.rung_parity[self.highest, "fixed"].same_top1
            top = Proportion.of(sum(same), len(same))
        right = self._right(labels)
        shares = {rung: Proportion.of(int(r.sum()), r.size) for rung, r in right.items()}
        known = labels is not None and self.highest is not None
        return Verification(
            samples=len(self.samples),
            steps=self.steps,
            highest_rung=self.highest,
            accuracy={rung: shares[rung].value if rung in shares else None for rung in RUNGS},
            accuracy_interval={rung: shares.get(rung) for rung in RUNGS},
            paired_difference=compare_paired(right[str(self.highest)], right["fixed"])
            if known
            else None,
            highest=None if self.highest is None else pairs[self.highest, "fixed"],
            top1_agreement_interval=top,
            float_approximated=pairs.get(("float", "approximated")),
            approximated_fixed=pairs.get(("approximated", "fixed")),
            window_edges=tuple(self.edges.tolist()),
            state_samples=tuple(self.state_samples.tolist()),
            state_steps=states_steps(self.program, self.steps),
            per_sample=tuple(self._sample(i, labels) for i in range(len(self.samples))),
            saturations=dict(self.saturations),
            engines=tuple(pair.result() for pair in self.engine_pairs),
        )

    def _right(self, labels: IntArray | None) -> dict[str, NDArray[np.bool_]]:
        """Return which answers of each rung are right; nothing without labels."""
        wanted = self.answers_wanted(labels)
        if wanted is None:
            return {}
        return {rung: np.concatenate(found) == wanted for rung, found in self.predictions.items()}

    def _prediction(self, rung: str, i: int) -> int | None:
        """Return the class of a sample; None where there is none, or one for every step."""
        if self.program.readout.streams or rung not in self.predictions:
            return None
        return int(self.predictions[rung][i][0])

    def _sample(self, i: int, labels: IntArray | None) -> SampleResult:
        parity = None if self.highest is None else self.rung_parity[self.highest, "fixed"]
        first = None if parity is None else parity.first[i]
        return SampleResult(
            steps=int(self.samples.steps[i]),
            label=None if labels is None or labels.ndim > 1 else int(labels[i]),
            prediction={rung: self._prediction(rung, i) for rung in RUNGS},
            spike_agreement=None if parity is None else parity.agreements[i],
            first_divergence=None if first is None else FirstDivergence(*first),
        )


class _Sample:
    """What one sample contributes: predictions by rung, and differences by pair and layer."""

    def __init__(self, top: dict[str, IntArray], differences: dict[Pair, list[Difference]]) -> None:
        self.top, self.differences = top, differences


def _float_trace(graph: Graph, layer: Layer, tensors: dict[str, FloatArray]) -> Trace:
    before = tensors[layer.before]
    residual = None if layer.residual is None else tensors[layer.residual]
    bins = margins.bins_of(graph[layer.spike].margin(before[None])[0])
    return Trace(tensors[layer.spike], before, residual, bins)


def _drives(program: Program, graph: Graph) -> tuple[str, ...]:
    """Return what a graph's SSMs read."""
    return tuple(graph[op.name].inputs[0] for op in program.ops if isinstance(op, SSM))
