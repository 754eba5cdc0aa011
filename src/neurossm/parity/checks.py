"""What makes a verification pass or fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from neurossm.arrays import IntArray
from neurossm.parity.outcome import TOP1, Verification
from neurossm.parity.results import Check, EngineResult
from neurossm.program import Program

LEAST_TOP1 = 0.98
"""Least share of equal predictions for a model to survive, unless a limit is given."""


def engine_checks(pairs: Iterable[EngineResult]) -> Iterable[Check]:
    """Two engines must give the same integers."""
    for pair in pairs:
        name = f"{pair.a} equals {pair.b}"
        yield Check(name, pair.mismatches, 0, pair.mismatches == 0)


def saturation_check(program: Program, saturations: Mapping[str, int]) -> Check:
    """Nothing may be clipped where the program claims a proof."""
    proved = sum(count for name, count in saturations.items() if is_proved(program, name))
    return Check("no saturation where proved", proved, 0, proved == 0)


def gates(
    found: Verification, min_agreement: float | None, max_drop: float | None
) -> Iterable[Check]:
    """Hold what was found against limits; predictions always, the rest where one was given."""
    if found.highest is not None:
        least = LEAST_TOP1 if min_agreement is None else min_agreement
        value = found.highest.top1_agreement
        yield Check(TOP1, value, least, value >= least)
        for layer in found.layers if min_agreement is not None else ():
            value = layer.spike_agreement
            yield Check(f"{layer.name} spikes", value, least, value >= least)
    if max_drop is not None and found.paired_difference is not None:
        drop = 0.0 - found.paired_difference.difference
        yield Check("accuracy drop", drop, max_drop, drop <= max_drop)


def warnings_of(program: Program, saturations: Mapping[str, int]) -> tuple[str, ...]:
    """Say which tensors were clipped."""
    return tuple(
        f"{count} integers of {name} were clipped, "
        + (
            "although its range is proved: the engine or the certificate is wrong"
            if is_proved(program, name)
            else "as its range is calibrated, not proved"
        )
        for name, count in saturations.items()
    )


def chance_warning(found: Verification, labels: IntArray | None, classes: int) -> tuple[str, ...]:
    """Say in capitals that a float model is no better than chance, which integers only preserve.

    Chance is the share of the most frequent label, or of one class, whichever is more; "near" is
    within twice the standard error of that share, or 5 points.
    """
    rung = found.highest_rung
    accuracy = None if rung is None else found.accuracy[rung]
    if accuracy is None or labels is None:
        return ()
    chance = max(float(np.bincount(labels).max()) / len(labels), 1 / classes)
    near = max(0.05, 2 * float(np.sqrt(chance * (1 - chance) / len(labels))))
    if accuracy >= chance + near:
        return ()
    warning = (
        f"THE {str(rung).upper()} MODEL ITSELF IS NEAR CHANCE: {accuracy:.1%} of the labels, where "
        f"always the same answer gives {chance:.1%}; check the data, the labels and how the model "
        "was read"
    )
    return (warning,)


def is_proved(program: Program, tensor: str) -> bool:
    """Tell whether a tensor, or an operation's states ("NAME:state"), can never be clipped."""
    for op in program.ops:
        if op.states and tensor == op.state_tally:
            return op.states_proved(*(source.out.interval for source in program.sources(op)))
    return program[tensor].out.proved
