"""What each operation computes, per channel and step: multiplications and additions.

A multiplication is a product of two stored numbers, an addition is a sum, a difference or a
comparison. Shifts, roundings, choices, signs and saturations are not counted: they are wires and
carry bits of the additions they follow. The sums of `Dense` and `Embedding` depend on the spikes;
they are counted where the spikes are known and are zero here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from neurossm.program.code import Code, Instruction


@dataclass(frozen=True)
class Work:
    """Operations of one channel in one step.

    `state_updates` counts states: complex modes, or the real states of other neurons. The other
    state counts are those of an operation with states, the elementwise counts those of all others.
    """

    state_updates: int = 0
    state_multiplies: int = 0
    state_adds: int = 0
    elementwise_multiplies: int = 0
    elementwise_adds: int = 0

    @property
    def operations(self) -> int:
        """Multiplications and additions together."""
        return (
            self.state_multiplies
            + self.state_adds
            + self.elementwise_multiplies
            + self.elementwise_adds
        )


def work_of(code: Code, modes: int) -> Work:
    """Count an equation's instructions; those of modes count once for each mode.

    What is computed once per step of all channels is left to `work_once`.
    """
    counts: Counter[str] = Counter()
    for item in code.instructions:
        if item.axis == "row":
            continue
        times = modes if item.axis == "mode" else 1
        if item.kind == "mul":
            counts["multiplies"] += times
        elif _adds(item):
            counts["adds"] += times
        elif item.kind == "over_modes":
            counts["adds"] += max(modes - 1, 0)
    multiplies, adds = counts["multiplies"], counts["adds"]
    if not code.states:
        return Work(elementwise_multiplies=multiplies, elementwise_adds=adds)
    in_modes = any(code.instructions[number].axis == "mode" for number in code.states.values())
    updates = modes if in_modes else 1
    return Work(state_updates=updates, state_multiplies=multiplies, state_adds=adds)


def work_once(code: Code, channels: int) -> Work:
    """Count what an equation computes once per step: sums and maxima over channels, and from them.

    Each channel joins a sum with an addition, a maximum with a comparison.
    """
    counts: Counter[str] = Counter()
    for item in code.instructions:
        if item.kind in ("total", "largest"):
            counts["adds"] += channels
        elif item.axis == "row" and item.kind == "mul":
            counts["multiplies"] += 1
        elif item.axis == "row" and _adds(item):
            counts["adds"] += 1
    return Work(elementwise_multiplies=counts["multiplies"], elementwise_adds=counts["adds"])


def _adds(item: Instruction) -> bool:
    """Tell a sum, a difference or a comparison; the sign of what follows is no work."""
    first = item.expression.args[0] if item.expression.args else item.expression
    negates = item.kind == "sub" and first.kind == "number" and first.value == 0
    return item.kind in ("add", "sub", "greater") and not negates


def signed_digits(value: int) -> int:
    """Return the number of nonzero digits of an integer in its non-adjacent form.

    That is the least number of powers of two, added or subtracted, that make it:
    7 = 8 - 1 has two.
    """
    # The nonzero digits are where 3 v and v differ (Prodinger 2000).
    magnitude = abs(value)
    return (magnitude ^ (3 * magnitude)).bit_count()
