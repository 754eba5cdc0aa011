"""Random networks reach every branch of every operation, and the fast engine agrees on all of it.

See `branches` for what a branch is, and `programs` for the networks.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from neurossm.program.operations import OP_TYPES

Say = Callable[[str], None]


@pytest.mark.slow
def test_every_branch_of_every_operation(
    programs: ModuleType, branches: ModuleType, checks: ModuleType, say: Say
) -> None:
    """At least 200 random networks, all tensors, all branches counted, none zero."""
    counts: Counter[tuple[str, str]] = Counter()
    same: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    clipping = 0
    makers = (programs.shaped, programs.compiled, programs.loose, programs.pooled, programs.corners)
    for maker in makers:
        for case in maker():
            expected, integers = checks.compared(case.program, case.data, case.name)
            counts.update(
                branches.count(case.program, case.data, expected.tensors, expected.logits)
            )
            same.update(integers)
            cases[maker.__name__] += 1
            clipping += bool(expected.saturations)
    say(f"networks: {dict(cases)}, {clipping} of them saturating")
    say(_table(counts, same))
    assert sum(cases.values()) - cases["corners"] >= 200
    assert clipping >= 50
    assert {operation for operation, _ in counts} == set(OP_TYPES)
    never = [f"{operation}: {branch}" for (operation, branch), n in counts.items() if n == 0]
    assert not never, never


def _table(counts: Counter[tuple[str, str]], same: Counter[str]) -> str:
    """Return the counts as text, by operation."""
    lines = []
    for operation in OP_TYPES:
        parts = {branch: n for (kind, branch), n in counts.items() if kind == operation}
        states = same[f"{operation} states"]
        lines.append(
            f"{operation}: {same[operation]:,} integers equal"
            + (f", and {states:,} of states" if states else "")
            + f"; {len(parts)} branches"
        )
        text = ", ".join(f"{branch} {n:,}" for branch, n in parts.items())
        lines += textwrap.wrap(text, 98, initial_indent="  ", subsequent_indent="  ")
    total = sum(same.values())
    lines.append(f"{total:,} integers equal, {len(counts)} branches, each met at least")
    lines[-1] += f" {min(counts.values())} times"
    return "\n".join(lines)


def test_the_counts_tell_branches_apart(branches: ModuleType) -> None:
    """rshift(p, 1) of -3, -2, 0, 2, 3: halves, exact; sat at 3 bits of -6 ... 5."""
    parts = branches.rounding("x", np.array([-3, -2, 0, 2, 3]), 1)
    assert {name: int(np.sum(where)) for name, where in parts.items()} == {
        "x shifted left": 0,
        "x not shifted": 0,
        "x exact": 3,
        "x rounded down": 0,
        "x rounded up": 0,
        "x half above 0": 1,
        "x half below 0": 1,
    }
    # rshift(p, 2): 5 / 4 down, 7 / 4 up, -5 / 4 up to -1, -7 / 4 down to -2, 6 / 4 a half
    parts = branches.rounding("x", np.array([5, 7, -5, -7, 6]), 2)
    assert [int(np.sum(parts[f"x {w}"])) for w in ("rounded down", "rounded up")] == [2, 2]
    parts = branches.saturation("x", np.arange(-6, 6), 3)  # limits -4 and 3
    counted = {name: int(np.sum(where)) for name, where in parts.items()}
    assert counted == {
        "x inside": 6,
        "x at the upper limit": 1,
        "x at the lower limit": 1,
        "x clipped from above": 2,
        "x clipped from below": 2,
        "x one above the limit": 1,
        "x one below the limit": 1,
    }


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [
        (5, 1, 3),
        (-5, 1, -2),
        (-3, 1, -1),
        (-1, 1, 0),
        (7, 2, 2),
        (-7, 2, -2),
        (-6, 2, -1),
        (3, -2, 12),
    ],
)
def test_rounding_of_the_counts(
    branches: ModuleType, value: int, shift: int, expected: int
) -> None:
    """The examples of docs/fixed-point.md."""
    assert branches.rshift(np.array([value]), shift).tolist() == [expected]
