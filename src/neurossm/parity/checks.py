"""What makes a verification pass or fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neurossm.parity.results import Check, EngineResult, Verification
from neurossm.program import Program


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
    """Hold what was found against limits, where there are some."""
    if min_agreement is not None and found.highest is not None:
        named = {f"{layer.name} spikes": layer.spike_agreement for layer in found.layers}
        for name, value in {"top-1 agreement": found.highest.top1_agreement, **named}.items():
            yield Check(name, value, min_agreement, value >= min_agreement)
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


def is_proved(program: Program, tensor: str) -> bool:
    """Tell whether a tensor, or an operation's states ("NAME:state"), can never be clipped."""
    for op in program.ops:
        if op.states and tensor == op.state_tally:
            return op.states_proved(*(source.out.interval for source in program.sources(op)))
    return program[tensor].out.proved
