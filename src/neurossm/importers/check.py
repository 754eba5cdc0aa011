"""Compute a file under every reading that its names allow, and compare with what it says it had."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch

from neurossm.datafile import Data, load_data
from neurossm.errors import InputError, NeuroSSMError
from neurossm.files import as_path
from neurossm.graph.data import check_labels, check_sequences
from neurossm.graph.sequences import Sequences
from neurossm.importers.archive import Source, read_source
from neurossm.importers.config_file import ACTIVATIONS, Config
from neurossm.importers.importer import config_of, decide, pool_of
from neurossm.importers.reading import Reading
from neurossm.importers.settings import ImportOptions
from neurossm.importers.sparch import is_sparch
from neurossm.progress import Meter, Progress

CHECK_SAMPLES = 1000
"""How many samples are enough, unless said otherwise: 1.6 points of standard deviation at most."""
_BATCH = 16
_DEVIATIONS = 2.0
"""How many standard deviations of its sample an accuracy may be off and still be reproduced."""


@dataclass(frozen=True)
class Tried:
    """One reading and its accuracy.

    Attributes
    ----------
    options
        The options that choose it, by name, without those that were given.
    accuracy
        Share of right predictions.
    reproduces
        Whether that is what the file says it had; None if the file says nothing.
    """

    options: dict[str, str | bool]
    accuracy: float
    reproduces: bool | None

    @property
    def arguments(self) -> str:
        """The options as they are written on the command line."""
        return " ".join(_argument(name, value) for name, value in self.options.items())


@dataclass(frozen=True)
class Checked:
    """The readings of a file, the most accurate first.

    Attributes
    ----------
    readings
        One for each combination of what the file leaves open.
    samples, chance
        How many samples were classified, and the share of the commonest class among them.
    scores
        What the file says of its accuracy, by name.
    """

    readings: tuple[Tried, ...]
    samples: int
    chance: float
    scores: dict[str, float]

    @property
    def proposals(self) -> tuple[Tried, ...]:
        """The readings that reproduce what the file says; empty if it says nothing."""
        return tuple(tried for tried in self.readings if tried.reproduces)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "proposals": [asdict(tried) for tried in self.proposals]}


def check_checkpoint(
    path: str | os.PathLike[str],
    data: Data | str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    options: ImportOptions | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Compute the accuracy of a file under every reading that its names allow.

    Parameters
    ----------
    path, config, options
        As for `neurossm.importers.import_checkpoint`; what the options say is not varied.
    data
        Samples with labels.
    limit
        Only the first so many samples.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.

    Raises
    ------
    InputError
        The data have no labels or do not suit, or the kind of input is not given.
    FormatError, UnsupportedError
        As `neurossm.importers.import_checkpoint`.
    """
    path, options = as_path(path, "checkpoint"), options or ImportOptions()
    samples = data if isinstance(data, Data) else load_data(data)
    samples = samples.limited(limit)
    source = read_source(path, options.which)
    known = config_of(source, config)
    try:
        if is_sparch(source.weights):
            raise InputError(
                "--check compares readings of S4D networks; this feed-forward spiking network is "
                "imported and run on DATA.npz instead"
            )
        return _check(source, known, options, samples, progress)
    except NeuroSSMError as error:
        raise type(error)(f"{path}: {error}") from error


def _check(
    source: Source,
    config: Config,
    options: ImportOptions,
    data: Data,
    progress: Progress | None,
) -> Checked:
    first, settings = decide(source, config, options)
    if "input" in settings.questions:
        raise InputError(f"give {settings.questions['input']}")
    samples = check_sequences(first.input, data.x, data.lengths, data.where)
    if data.y is None:
        raise InputError(f"{data.where}: --check needs labels: class numbers under the name y")
    y = check_labels(data.y, len(samples), first.found.classes, data.where)
    open_ = {*settings.questions, *(s.name for s in settings.record if s.origin == "assumed")}
    found = []
    combinations = list(_combinations(open_, first))
    meter = Meter(progress, "checking", len(combinations) * samples.steps.sum())
    for chosen in combinations:
        reading, _ = decide(source, config, replace(options, **chosen))  # type: ignore[arg-type]
        right = np.concatenate(list(_right(reading, pool_of(config, options), samples, y, meter)))
        accuracy = float(right.mean())
        found.append(Tried(chosen, accuracy, _reproduces(accuracy, len(y), source)))
    found.sort(key=lambda tried: -tried.accuracy)
    chance = float(np.bincount(y).max() / len(y))
    return Checked(tuple(found), len(y), chance, dict(source.scores))


def _combinations(open_: set[str], first: Reading) -> Iterator[dict[str, str | bool]]:
    """Yield the options of every reading of what is open.

    Of norms with weights, and of residuals, only what the code has is tried.
    """
    gsu = first.found.layer == "gsu"
    values: dict[str, tuple[str | bool, ...]] = {
        "activation": ("gelu", "none") if gsu else ACTIVATIONS,
        "norm": ("layer",) if first.found.norm_affine else ("none", "layer"),
        "prenorm": (False, True),
        "discretization": ("zoh", "bilinear"),
        "residual": ("sum",),
    }
    names = [name for name in values if name in open_]
    for combination in product(*(values[name] for name in names)):
        chosen = dict(zip(names, combination, strict=True))
        if chosen.get("norm") == "none" and chosen.pop("prenorm", False):
            continue  # the place of no norm
        yield chosen


def _right(
    reading: Reading, pool: str, samples: Sequences, y: np.ndarray[Any, Any], meter: Meter
) -> Iterator[np.ndarray[Any, Any]]:
    for part, x in samples.whole(_BATCH):
        values = x[..., 0] if reading.input.kind == "tokens" else x
        batch = torch.from_numpy(np.ascontiguousarray(values))
        predicted = reading.logits(batch, pool).argmax(1).numpy()
        yield predicted == y[part]
        meter.add(x.shape[0] * x.shape[1])


def _reproduces(accuracy: float, samples: int, source: Source) -> bool | None:
    if not source.scores:
        return None
    close = []
    for score in source.scores.values():
        share = score / 100 if score > 1 else score  # percent, or a share
        # One sample is the least that can differ: the file's own data were others.
        spread = max(math.sqrt(max(share * (1 - share), 0.0) / samples), 1 / samples)
        close.append(abs(accuracy - share) <= _DEVIATIONS * spread)
    return any(close)


def _argument(name: str, value: str | bool) -> str:
    if name == "prenorm":
        return "--prenorm" if value else "--postnorm"
    return f"--{name.replace('_', '-')} {value}"
