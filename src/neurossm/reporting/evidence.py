"""Everything a report shows, gathered once: verification, cost, a few samples watched closely."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray, IntArray
from neurossm.cost import CostProfile, profile
from neurossm.datafile import Data, samples_of
from neurossm.errors import InputError
from neurossm.graph import Graph
from neurossm.graph.evaluate import evaluate
from neurossm.hw_profiles import Profile
from neurossm.parity import Verification, verify
from neurossm.parity.layers import layers_of
from neurossm.parity.verification import has_floats
from neurossm.program import Program, limits
from neurossm.progress import Progress
from neurossm.registry import DEFAULT_ENGINE, check_engines, run

if TYPE_CHECKING:
    from neurossm.models.checkpoint import Checkpoint
    from neurossm.models.network import Network

EXAMPLES = 3
STATE_VALUES = 8_000_000
"""Recorded state values per layer, at most; longer samples are cut."""


@dataclass(frozen=True, eq=False)
class Example:
    """One sample and what the layers did with it.

    Parameters
    ----------
    index
        Its number in the data.
    x
        (L, C), as integers.
    label
        Its class, None if unknown.
    fixed, approximated
        What the integers and the approximated float model predict.
    spikes
        By layer (L, H) of -1, 0, 1.
    """

    index: int
    x: IntArray
    label: int | None
    fixed: int
    approximated: int
    spikes: dict[str, NDArray[np.int8]]


@dataclass(frozen=True, eq=False)
class States:
    """States of one layer, against what they can reach and what they can hold.

    `used` is `log2(|s| / bound)` of states that are not zero, `zero_share` the share of those that
    are. `peak` and `bound` are the largest magnitudes seen and proved, `capacity` the largest that
    `bits` hold.
    """

    layer: str
    bits: int
    used: FloatArray
    zero_share: float
    peak: int
    bound: int
    capacity: int
    proved: bool


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a report is made from."""

    program: Program
    data_name: str
    available: int
    verification: Verification
    cost: CostProfile
    examples: tuple[Example, ...]
    states: tuple[States, ...]


def gather(
    program: Program,
    data: Data,
    *,
    available: int,
    model: str | Path | Graph | Checkpoint | Network | None = None,
    hw: str | os.PathLike[str] | Profile | None = None,
    engines: str | Sequence[str] = DEFAULT_ENGINE,
    progress: Progress | None = None,
) -> Evidence:
    """Verify, profile and watch a program on data.

    Parameters
    ----------
    program
        The integer program.
    data
        The samples to use, with labels if known.
    available
        How many samples there are in all.
    model
        The trained model, the highest rung; without it the approximated graph is.
    hw
        Hardware profile to price with; the program's target by default.
    engines
        As in `neurossm.verify`; the first one also does everything else.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.

    Raises
    ------
    InputError
        Data that do not suit the program, or a program without the float network it stands for.
    """
    if not has_floats(program):
        raise InputError(
            "the program holds no float network to report on (it was cut out of another); "
            "`neurossm verify` compares engines on it"
        )
    engines = check_engines(engines)
    data = samples_of(
        program.input, program.readout.out.channels, data, each=program.readout.streams
    )
    verification = verify(program, data, None, model, engines, progress=progress)
    cost = profile(program, data, hw=hw, engine=engines[0], progress=progress)
    return Evidence(
        program=program,
        data_name=Path(data.where).name,
        available=available,
        verification=verification,
        cost=cost,
        examples=_examples(program, data, engines[0]),
        states=_states(program, next(x for _, x in data.sequences.whole(1)), engines[0]),
    )


def _examples(program: Program, data: Data, engine: str) -> tuple[Example, ...]:
    """Watch a few samples of different classes, where there are labels to tell."""
    chosen = list(range(len(data.x)))
    labels = data.y
    if labels is not None and labels.ndim > 1:  # of every step: here, of the last one
        labels = labels[np.arange(len(labels)), data.sequences.steps - 1]
    if labels is not None:
        _, first = np.unique(labels, return_index=True)
        chosen = [*sorted(int(index) for index in first), *chosen]
    picked = list(dict.fromkeys(chosen))[:EXAMPLES]
    layers = layers_of(program)
    part = data.sequences[np.array(picked)]
    spikes = [layer.spike for layer in layers]
    result = run(program, part.x, engine, spikes, lengths=part.lengths)
    floats = evaluate(program.graph, part.x, lengths=part.lengths)[program.graph.output.name]
    encoded = program.encode(part.x)
    return tuple(
        Example(
            index=index,
            x=encoded[i, : part.steps[i]],
            label=None if labels is None else int(labels[index]),
            fixed=_answer(result.logits[i], int(part.steps[i])),
            approximated=_answer(floats[i], int(part.steps[i])),
            spikes={
                layer.name: result.tensors[layer.spike][i, : part.steps[i]].astype(np.int8)
                for layer in layers
            },
        )
        for i, index in enumerate(picked)
    )


def _answer(logits: NDArray[Any], steps: int) -> int:
    """Return the class of a sample, at its last step where every step has one."""
    return int((logits if logits.ndim == 1 else logits[steps - 1]).argmax())


def _states(program: Program, x: NDArray[np.generic], engine: str) -> tuple[States, ...]:
    found = []
    for op in program.ops:
        if not op.states:
            continue
        values_per_step = sum(int(np.prod(op.state_shape(state))) for state in op.states)
        steps = max(1, min(x.shape[1], STATE_VALUES // values_per_step))
        names = [op.state_name(state) for state in op.states]
        tensors = run(program, x[:, :steps], engine, names).tensors
        inputs = [source.out.interval for source in program.sources(op)]
        reached = op.state_bounds(*inputs)
        bits = max(op.width_of(state) for state in op.states)
        bounds = [reached[state.name].clipped(*limits(bits)) for state in op.states]
        used, zeros, peak, largest = [], 0, 0, 0
        for name, bound in zip(names, bounds, strict=True):
            reach = np.maximum(np.maximum(np.abs(bound.low), np.abs(bound.high)), 1)  # (H, N)
            magnitude = np.abs(tensors[name])  # (1, L, H, N)
            share = magnitude / reach
            used.append(np.log2(share[magnitude > 0]))
            zeros += int(np.count_nonzero(magnitude == 0))
            peak, largest = max(peak, int(magnitude.max())), max(largest, int(reach.max()))
        values = np.concatenate(used)
        found.append(
            States(
                layer=op.layer,
                bits=bits,
                used=values,
                zero_share=zeros / (zeros + values.size),
                peak=peak,
                bound=largest,
                capacity=(1 << (bits - 1)) - 1,
                proved=op.states_proved(*inputs),
            )
        )
    return tuple(found)
