"""The whole way from a model to one of fewer modes."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurossm.arrays import BoolArray, FloatArray, IntArray
from neurossm.datafile import Data, samples_of
from neurossm.errors import InputError, UnsupportedError
from neurossm.graph import SSMNode
from neurossm.graph.evaluate import evaluate
from neurossm.models.checkpoint import Checkpoint, load
from neurossm.models.export import export
from neurossm.models.network import Network
from neurossm.models.response import Response, rebuilt, response_of
from neurossm.progress import Meter, Progress
from neurossm.reduction.dead import Dead, find_dead, silence
from neurossm.reduction.elimination import Elimination, eliminate, fewest_within, share_out
from neurossm.reduction.options import ReduceOptions
from neurossm.reduction.outcome import LayerReduction, Reduction
from neurossm.reduction.polish import fitted
from neurossm.reduction.response import power_spectrum
from neurossm.train.objective import predict

LENGTH = 1024
"""Steps over which responses are fitted where no data say how long sequences are."""


def reduce(
    model: Checkpoint | str | os.PathLike[str],
    options: ReduceOptions,
    data: Data | str | os.PathLike[str] | None = None,
    length: int | None = None,
    progress: Progress | None = None,
) -> Reduction:
    """Return a model with fewer modes of its state-space layers.

    Every channel's response over the sequence is fitted with the modes it keeps, in the least
    squares of the layer's output on data: the calibration batch of the checkpoint, else `data`,
    gives the spectrum of each layer's input. Which modes go, and how many of each channel, follows
    from what they are missed by; the others then move to where they serve best.

    Parameters
    ----------
    model
        A checkpoint of a network of `neurossm.models`.
    options
        How far.
    data
        Samples with labels, for ``max_drop`` and to state accuracies.
    length
        Steps of the responses; None: as long as the calibration samples, or 1,024 without any.
    progress
        Told how many fits are done; see `neurossm.progress`.

    Raises
    ------
    InputError, FormatError
        The files or the options do not suit.
    UnsupportedError
        A feed-forward network, which has no modes.
    """
    checkpoint = model if isinstance(model, Checkpoint) else load(model)
    if not isinstance(checkpoint.model, Network):
        raise UnsupportedError("reduce: a feed-forward network has no state-space modes")
    most = checkpoint.model.config.modes
    if options.modes is not None and options.modes > most:
        raise InputError(f"modes: {options.modes}, the model has {most} per channel; give fewer")
    reducer = _Reducer.of(checkpoint, options, data, length, progress)
    if options.max_drop is not None:
        return reducer.within_drop(options.max_drop)
    return reducer.reduced(reducer.counts())


@dataclass(frozen=True, eq=False)
class _Reducer:
    """A model looked through, ready to be reduced as far as one likes."""

    checkpoint: Checkpoint
    network: Network
    options: ReduceOptions
    exact: list[Response]
    power: list[FloatArray]
    dead: list[Dead]
    eliminated: list[Elimination]
    length: int
    weighted: bool
    labelled: Data | None
    progress: Progress | None

    @staticmethod
    def of(
        checkpoint: Checkpoint,
        options: ReduceOptions,
        data: Data | str | os.PathLike[str] | None,
        length: int | None,
        progress: Progress | None,
    ) -> _Reducer:
        """Look a model through: responses, spectra, dead channels, the order of elimination."""
        network = deepcopy(checkpoint.model)
        assert isinstance(network, Network)
        labelled = _labelled(network, options, data)
        seen = _drives(checkpoint, labelled)
        count = len(network.blocks)
        if length is None:
            length = LENGTH if seen is None else seen[0][0].shape[1]
        if length < 2:
            raise InputError(f"length: {length}, must be at least 2 steps")
        if seen is None:
            power = [np.ones((network.config.d_model, length // 2 + 1))] * count
        else:
            power = [power_spectrum(_cut(drive, length)) for drive, _ in seen]
        outputs = [None] * count if seen is None else [output for _, output in seen]
        dead = [
            find_dead(block.mixer, output)
            for block, output in zip(network.blocks, outputs, strict=True)
        ]
        if not options.keep_dead:
            for block, found in zip(network.blocks, dead, strict=True):
                silence(block.mixer, found)
        exact = [response_of(block.mixer.ssm) for block in network.blocks]
        meter = Meter(progress, "eliminating", count)
        eliminated = []
        for response, spectrum in zip(exact, power, strict=True):
            eliminated.append(eliminate(response, spectrum, length))
            meter.add(1)
        return _Reducer(
            checkpoint, network, options, exact, power, dead, eliminated, length,
            seen is not None, labelled, progress,
        )  # fmt: skip

    @property
    def alive(self) -> list[BoolArray]:
        """Channels (H) of each layer that keep modes."""
        if self.options.keep_dead:
            return [np.ones_like(dead.any) for dead in self.dead]
        return [~dead.any for dead in self.dead]

    def counts(self) -> list[IntArray]:
        """Return how many modes each channel keeps, by the options."""
        options = self.options
        if options.max_error is not None:
            wanted = [fewest_within(e, options.max_error) for e in self.eliminated]
        elif options.uniform:
            wanted = [np.full(len(e.order), int(options.modes or 0)) for e in self.eliminated]
        else:
            return self.sharing(options.modes or 0)
        return [np.where(live, count, 0) for live, count in zip(self.alive, wanted, strict=True)]

    def sharing(self, modes: float) -> list[IntArray]:
        """Return the counts with so many modes on average."""
        channels = sum(len(e.order) for e in self.eliminated)
        return share_out(self.eliminated, round(modes * channels), self.alive)

    def reduced(self, counts: list[IntArray]) -> Reduction:
        """Return the model whose channels keep so many modes."""
        meter = Meter(self.progress, "fitting", len(counts))
        responses = []
        for exact, power, e, count in zip(
            self.exact, self.power, self.eliminated, counts, strict=True
        ):
            kept = e.kept(count)
            responses.append(fitted(exact, power, self.length, kept, self.options.polish_steps))
            meter.add(1)
        for response, live in zip(responses, self.alive, strict=True):
            response.direct[~live] = 0
        network = rebuilt(self.network, responses)
        checkpoint = replace(
            self.checkpoint,
            model=network,
            training={**self.checkpoint.training, "reduced_from": self.checkpoint.sha256},
            sha256="",
            source="",
        )
        accuracy = None
        if self.labelled is not None:
            accuracy = (self._accuracy(self.checkpoint.model), self._accuracy(network))
        layers = self._layers(network, counts)
        return Reduction(checkpoint, layers, self.length, self.weighted, accuracy)

    def within_drop(self, max_drop: float) -> Reduction:
        """Return the model of fewest modes whose accuracy is as good, by bisection."""
        channels = sum(len(e.order) for e in self.eliminated)
        low, high = 0, self.exact[0].poles.shape[1] * channels  # high keeps it
        best = None
        while best is None or high - low > max(channels // 4, 1):
            middle = (low + high) // 2 if best is not None or low == 0 else high
            found = self.reduced(self.sharing(middle / channels))
            assert found.accuracy is not None
            before, after = found.accuracy
            if before - after <= max_drop:
                best, high = found, middle
            elif low == middle or middle == high:
                raise InputError(
                    f"max_drop: {max_drop} cannot be held: fitting alone loses {before - after:.4f}"
                )
            else:
                low = middle
            if best is None and high - low <= max(channels // 4, 1):
                low = high
        return best

    def _accuracy(self, model: object) -> float:
        assert isinstance(model, Network)
        assert self.labelled is not None
        assert self.labelled.y is not None
        x = torch.from_numpy(np.ascontiguousarray(self.labelled.x))
        if model.config.input.kind == "tokens":
            x = x.squeeze(-1) if x.ndim == 3 else x
        lengths = self.labelled.lengths
        steps = None if lengths is None else torch.from_numpy(lengths)
        predicted = predict(model, x, 100, steps).numpy()
        return float((predicted == self.labelled.y).mean())

    def _layers(self, network: Network, counts: list[IntArray]) -> tuple[LayerReduction, ...]:
        """State the errors of the network that was made, from its own parameters."""
        found = []
        for i, (exact, dead) in enumerate(zip(self.exact, self.dead, strict=True)):
            before = exact.kernel(self.length)
            after = response_of(network.blocks[i].mixer.ssm).kernel(self.length)
            error = _relative(after - before, before)
            spectra = (np.fft.rfft(kernel, axis=1) for kernel in (after - before, before))
            weighted = _relative(*(s * np.sqrt(self.power[i]) for s in spectra))
            found.append(
                LayerReduction(
                    f"blocks.{i}",
                    exact.poles.shape[1],
                    counts[i],
                    error,
                    weighted,
                    *(tuple(np.flatnonzero(part).tolist()) for part in vars(dead).values()),
                )
            )
        return tuple(found)


def _relative(difference: NDArray[Any], whole: NDArray[Any]) -> FloatArray:
    """Return norms of rows relative to those of others; NaN where those are 0."""
    norm = np.linalg.norm(whole, axis=1)
    some = np.where(norm > 0, norm, 1)
    return np.where(norm > 0, np.linalg.norm(difference, axis=1) / some, np.nan)


def _labelled(
    network: Network, options: ReduceOptions, data: Data | str | os.PathLike[str] | None
) -> Data | None:
    if data is None:
        if options.max_drop is not None:
            raise InputError("max_drop: needs --data DATA.npz with labels to measure accuracy on")
        return None
    spec = export(network).input
    found = samples_of(spec, network.config.classes, data)
    if found.y is None:
        raise InputError(f"{found.where}: holds no labels y to measure accuracy on")
    return found


def _drives(
    checkpoint: Checkpoint, labelled: Data | None
) -> list[tuple[FloatArray, FloatArray]] | None:
    """Return input and output (B, L, H) of every SSM on calibration data; None without any."""
    x, lengths = checkpoint.calibration, checkpoint.calibration_lengths
    if x is None and labelled is not None:
        x, lengths = labelled.x[:64], labelled.lengths
        lengths = None if lengths is None else lengths[:64]
    if x is None:
        return None
    graph = export(checkpoint.model)
    nodes = [node for node in graph.nodes if isinstance(node, SSMNode)]
    names = [name for node in nodes for name in (node.inputs[0], node.name)]
    values = evaluate(graph, x, names, lengths=lengths)
    return [(values[node.inputs[0]], values[node.name]) for node in nodes]


def _cut(drive: FloatArray, length: int) -> FloatArray:
    """Return inputs of so many steps: the first ones, or with zeros behind."""
    found = np.zeros((len(drive), length, drive.shape[2]))
    common = min(length, drive.shape[1])
    found[:, :common] = drive[:, :common]
    return found
