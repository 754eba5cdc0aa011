"""What makes a verification pass or fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurossm.parity.engines import EngineParity
from neurossm.program import SSM, Program


@dataclass(frozen=True)
class Check:
    """One condition: `value` must be at least `limit` (or at most, for counts of failures)."""

    name: str
    value: float
    limit: float
    ok: bool


def engine_checks(pairs: Iterable[EngineParity]) -> Iterable[Check]:
    """Two engines must give the same integers."""
    for pair in pairs:
        name = f"{pair.a} equals {pair.b}"
        yield Check(name, pair.mismatches, 0, pair.mismatches == 0)


def saturation_check(program: Program, saturations: Mapping[str, int]) -> Check:
    """Nothing may be clipped where the program claims a proof."""
    proved = sum(count for name, count in saturations.items() if is_proved(program, name))
    return Check("no saturation where proved", proved, 0, proved == 0)


def gates(
    results: Mapping[str, Any], min_agreement: float | None, max_drop: float | None
) -> Iterable[Check]:
    """Hold the results against limits, where there are some."""
    if min_agreement is not None:
        named = {f"{row['name']} spikes": row["spike_agreement"] for row in results["layers"]}
        for name, value in {"top-1 agreement": results["top1_agreement"], **named}.items():
            yield Check(name, value, min_agreement, value >= min_agreement)
    if max_drop is not None:
        drop = 0.0 - results["paired_difference"]["difference"]
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
    """Tell whether a tensor, or an SSM's states ("NAME:state"), can never be clipped."""
    name = tensor.removesuffix(":state")
    op = program[name]
    if tensor != name and isinstance(op, SSM):
        return op.states_proved(program[op.inputs[0]].out.interval)
    return op.out.proved
