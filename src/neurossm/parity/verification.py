"""Three rungs of parity: trained float model, approximated float graph, integer program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import IntArray
from neurossm.checks import check_count, check_fraction, generator
from neurossm.compile.compiler import load_graph
from neurossm.datafile import Data, samples_of
from neurossm.errors import InputError
from neurossm.files import as_path
from neurossm.graph import Graph
from neurossm.origin import imported_line_of
from neurossm.parity.checks import (
    chance_warning,
    engine_checks,
    gates,
    saturation_check,
    warnings_of,
)
from neurossm.parity.comparison import Comparison
from neurossm.parity.outcome import Verification
from neurossm.program import Program, as_program
from neurossm.progress import Progress
from neurossm.registry import DEFAULT_ENGINE, check_engines, kept

if TYPE_CHECKING:
    from neurossm.models.checkpoint import Checkpoint
    from neurossm.models.network import Network

INTEGERS = ("sample", "all")
STATE_SAMPLES = 4
FULL_SAMPLES = 4


def verify(
    program: Program | str | Path,
    data: ArrayLike | Data | str | Path,
    labels: ArrayLike | None = None,
    model: str | Path | Graph | Checkpoint | Network | None = None,
    engines: str | Sequence[str] = DEFAULT_ENGINE,
    min_agreement: float | None = None,
    max_drop: float | None = None,
    progress: Progress | None = None,
    *,
    integers: str = "sample",
    state_samples: int = STATE_SAMPLES,
    seed: int = 0,
    limit: int | None = None,
    reproducers: str | Path | None = None,
    lengths: ArrayLike | None = None,
) -> Verification:
    """Compare a program with the float networks it stands for, and engines with each other.

    Parameters
    ----------
    program
        The integer program, or its file.
    data
        (samples, L, size), or (samples, L) for one channel: an array, a PyTorch tensor or nested
        lists; or a `DATA.npz`, which may bring labels.
    labels
        (samples) class numbers, for accuracies.
    model
        The trained model (checkpoint, graph file, graph or module): the highest rung. Without it
        the approximated graph inside the program is the highest.
    engines
        The first one's integers are compared with the float rungs; each pair is compared
        integer by integer. A name may have a device: "fast:cuda".
    min_agreement
        Least spike agreement of every layer, and top-1 agreement, as fractions. Without it
        predictions must agree on 98 % of the samples, and spikes as they will.
    max_drop
        Largest loss of accuracy from the highest rung to the integers, as a fraction.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    integers
        Between engines, spikes, residuals and logits of all samples are compared. "all" compares
        every other tensor and every state of all samples too, "sample" those of four.
    state_samples
        Of how many samples states are compared with the float rungs' states.
    seed
        Of the choice of those samples.
    limit
        Only the first so many samples.
    reproducers
        Folder for the smallest program that shows a mismatch of two engines; None writes none.
    lengths
        (samples) valid steps of each; all by default, or those of the file.

    Raises
    ------
    InputError
        Data that do not suit, unknown engine, `max_drop` without labels, labels that do not fit,
        limits for a program that holds no float model.
    """
    program = as_program(program)
    classes = program.readout.out.channels
    samples = samples_of(
        program.input, classes, data, labels, limit, lengths, each=program.readout.streams
    )
    x, y = samples.x, samples.y
    program.encode(x[:1])  # refuses samples that are too long
    _check_options(program, y, min_agreement, max_drop, integers, state_samples)
    trained = _trained_graph(model, program)
    engines = check_engines(engines)
    folder = None if reproducers is None else as_path(reproducers, "reproducers")
    chosen = generator(seed).permutation(len(x))
    comparison = Comparison(program, trained, engines, samples.sequences)
    with kept(engines):
        comparison.run(progress)
        comparison.compare_states(np.sort(chosen[:state_samples]))
        full = np.arange(len(x)) if integers == "all" else np.sort(chosen[:FULL_SAMPLES])
        comparison.compare_engines(full, folder)
    return _outcome(comparison, y, min_agreement, max_drop)


def _check_options(
    program: Program,
    labels: IntArray | None,
    min_agreement: float | None,
    max_drop: float | None,
    integers: str,
    state_samples: int,
) -> None:
    if max_drop is not None and labels is None:
        raise InputError("max_drop needs labels: the data have no y")
    if min_agreement is not None:
        check_fraction("min_agreement", min_agreement)
    if max_drop is not None:
        check_fraction("max_drop", max_drop, lowest=-1)
    if (min_agreement, max_drop) != (None, None) and not has_floats(program):
        raise InputError("limits need a float model, but the program's graph is its input alone")
    if integers not in INTEGERS:
        raise InputError(f"integers: {integers!r}, must be one of {', '.join(INTEGERS)}")
    check_count("state_samples", state_samples, lowest=0)


def has_floats(program: Program) -> bool:
    """Tell whether a program holds the float network it stands for: cut programs do not."""
    return len(program.graph.nodes) > 1


def _trained_graph(model: object, program: Program) -> Graph | None:
    if model is None:
        return None
    if not has_floats(program):
        raise InputError("model: the program's graph is its input alone: it stands for no model")
    graph, _ = load_graph(model)
    ours, theirs = program.provenance.get("model", {}), graph.provenance
    if ours.get("sha256") and theirs.get("sha256") and ours["sha256"] != theirs["sha256"]:
        raise InputError(
            f"the program was not compiled from this model: it came from sha256 "
            f"{ours['sha256'][:12]}…, the model given has {theirs['sha256'][:12]}…"
        )
    return graph


def _outcome(
    comparison: Comparison,
    labels: IntArray | None,
    min_agreement: float | None,
    max_drop: float | None,
) -> Verification:
    found = comparison.result(labels)
    checks = (
        *engine_checks(found.engines),
        saturation_check(comparison.program, found.saturations),
        *gates(found, min_agreement, max_drop),
    )
    warnings = (
        *chance_warning(
            found, comparison.answers_wanted(labels), comparison.program.readout.out.channels
        ),
        *warnings_of(comparison.program, found.saturations),
    )
    origin = imported_line_of(comparison.program.provenance)
    return replace(found, checks=checks, warnings=warnings, origin=origin)
