"""Tune the widths of a network on one part of the data, and confirm them on another."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import IntArray
from neurossm.checks import checked_type
from neurossm.compile import CompileOptions, prepare
from neurossm.compile.compiler import load_graph
from neurossm.compile.options import DEFAULT_TARGET
from neurossm.datafile import Data, samples_of
from neurossm.errors import InputError, LimitError
from neurossm.graph import Graph
from neurossm.graph.sequences import Sequences
from neurossm.hw_profiles import Profile, load_profile
from neurossm.progress import Meter, Progress
from neurossm.registry import DEFAULT_ENGINE, check_engines
from neurossm.tuning.judge import Judge, Score
from neurossm.tuning.options import TuneOptions
from neurossm.tuning.outcome import Tuning
from neurossm.tuning.search import Search, Tolerance, Trial, precision_of
from neurossm.tuning.space import all_groups, starting_choice


def tune(
    model: str | Path | Graph,
    data: ArrayLike | Data | str | Path,
    labels: ArrayLike | None = None,
    settings: TuneOptions | None = None,
    target: str | os.PathLike[str] | Profile = DEFAULT_TARGET,
    options: CompileOptions | None = None,
    calibration: ArrayLike | Data | None = None,
    progress: Progress | None = None,
    limit: int | None = None,
    engine: str = DEFAULT_ENGINE,
    lengths: ArrayLike | None = None,
) -> Tuning:
    """Find the narrowest widths, by layer and kind of number, that keep the accuracy.

    Parameters
    ----------
    model
        A checkpoint, a graph file, or a graph.
    data
        (samples, L, size): an array, a PyTorch tensor or nested lists; or a `DATA.npz`, which may
        bring labels. Shuffled, then split into samples that search and samples that confirm.
    labels
        (samples) class numbers. Without them the float model's predictions count as right.
    settings
        Tolerance and numbers of samples.
    target, options, calibration
        As `compile_model`; the options' widths are where the search begins.
    progress
        Told how far each part of the search is, in trials; see `neurossm.progress`.
    limit
        Only the first so many samples.
    engine
        What runs the programs that are tried; the outcome does not depend on it.
    lengths
        (samples) valid steps of each; all by default, or those of the file.

    Raises
    ------
    InputError
        Fewer than two samples, data or labels that do not suit, or no width to choose.
    LimitError
        The widths to begin with exceed the limits, on either part of the data.
    """
    settings = checked_type(
        "settings", TuneOptions() if settings is None else settings, TuneOptions
    )
    graph, own_calibration = load_graph(model)
    classes = graph.channels()[graph.output.name]
    samples = samples_of(graph.input, classes, data, labels, limit, lengths, each=graph.streams)
    x, y = samples.sequences, samples.y
    prepared = prepare(
        graph, target, options, own_calibration if calibration is None else calibration
    )
    check_engines(engine)
    profile = load_profile(target)
    searching, confirming = split(len(x), settings)
    groups = all_groups(prepared.graph, settings.only)
    start = starting_choice(groups, prepared.options.widths)
    judge = _judge(graph, profile, engine, x, y, searching, progress)
    search = Search(
        prepared,
        judge,
        Tolerance(settings.max_drop, settings.min_agreement),
        start,
        progress,
    )
    _check_start(search.here.score, search.limits, "search", len(searching))
    search.run(trim=settings.trim)
    unseen = _judge(graph, profile, engine, x, y, confirming, progress)
    chosen, confirmed, confirmations = _confirm(search, unseen, len(confirming), progress)
    return Tuning(
        precision_of(chosen.choice, prepared),
        settings,
        groups,
        search.path[0],
        search.here,
        chosen,
        confirmed,
        tuple(search.path),
        tuple(search.front()),
        len(search.tried),
        confirmations,
        (judge.accuracy, unseen.accuracy),
        (len(searching), len(confirming)),
        y is not None,
    )


def split(samples: int, settings: TuneOptions) -> tuple[IntArray, IntArray]:
    """Return the numbers of the samples that search and of those that confirm, none in both.

    Raises
    ------
    InputError
        There are not enough for both.
    """
    if samples < 2:
        raise InputError(
            f"{samples} sample(s): tuning needs at least 2, one to search and one to confirm"
        )
    order = np.random.default_rng(settings.seed).permutation(samples)
    count = min(settings.samples, samples // 2)
    confirming = order[count:][: settings.confirming]
    return np.sort(order[:count]), np.sort(confirming)


def _judge(
    graph: Graph,
    profile: Profile,
    engine: str,
    data: Sequences,
    labels: IntArray | None,
    part: IntArray,
    progress: Progress | None,
) -> Judge:
    chosen = None if labels is None else labels[part]
    return Judge(graph, profile, data[part], chosen, progress, engine)


def _check_start(score: Score, limits: Tolerance, purpose: str, samples: int) -> None:
    if not limits.hold(score):
        raise LimitError(
            f"the widths to begin with lose {score.drop:.3g} of accuracy on the "
            f"{samples} samples that {purpose} (agreement {score.agreement:.4f}); allowed are "
            f"{limits.max_drop:g} (agreement {limits.min_agreement:g}); allow more, give "
            "more samples, or begin with wider numbers"
        )


def _confirm(
    search: Search, unseen: Judge, samples: int, progress: Progress | None
) -> tuple[Trial, Score, int]:
    """Return the last step that holds on held-out samples, by bisection over the way down."""
    tried: dict[int, Score] = {}

    def score(index: int) -> Score:
        if index not in tried:
            tried[index] = unseen.score(search.program(search.path[index].choice))
            meter.add()
        return tried[index]

    last = len(search.path) - 1
    meter = Meter(progress, "confirming", last.bit_length() + 1)
    if search.limits.hold(score(last)):
        return search.path[last], tried[last], len(tried)
    _check_start(score(0), search.limits, "confirm", samples)
    good, bad = 0, last
    while bad - good > 1:
        middle = (good + bad) // 2
        if search.limits.hold(score(middle)):
            good = middle
        else:
            bad = middle
    return search.path[good], tried[good], len(tried)
