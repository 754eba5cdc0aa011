"""Engine against engine: equality of integers, and where they first differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from neurossm.compile.builder import residual_names
from neurossm.program import Program, Run, Spike, Ternary


@dataclass
class EngineParity:
    """Comparison of two engines on the same program and data.

    `compared` counts integers, `by_tensor` splits them by tensor, `first_mismatch` says where the
    engines first differ (None if nowhere).
    """

    a: str
    b: str
    compared: int = 0
    mismatches: int = 0
    first_mismatch: str | None = None
    by_tensor: dict[str, int] = field(default_factory=dict)

    def add(self, first: Run, second: Run, names: Sequence[str], offset: int) -> None:
        """Compare recorded tensors and logits of samples starting at `offset`."""
        for name in (*names, "logits"):
            one = first.logits if name == "logits" else first.tensors[name]
            two = second.logits if name == "logits" else second.tensors[name]
            self.by_tensor[name] = self.by_tensor.get(name, 0) + one.size
            self.compared += one.size
            if one.shape != two.shape:
                self.mismatches += max(one.size, two.size)
                self._note(f"{name}: shapes {one.shape} and {two.shape}")
                continue
            differs = one != two
            count = int(np.count_nonzero(differs))
            if count:
                self.mismatches += count
                at = tuple(int(i) for i in np.argwhere(differs)[0])
                place = (at[0] + offset, *at[1:])
                self._note(f"{name} at {place}: {self.a} {one[at]}, {self.b} {two[at]}")

    def _note(self, text: str) -> None:
        if self.first_mismatch is None:
            self.first_mismatch = text


def compared_tensors(program: Program) -> tuple[str, ...]:
    """Return every spike tensor and every tensor of the residual stream."""
    stream = residual_names(program.graph)
    return tuple(
        op.name for op in program.ops[1:-1] if isinstance(op, (Spike, Ternary)) or op.name in stream
    )


def pairs(engines: Sequence[str]) -> list[EngineParity]:
    """Return one comparison for each pair of engines."""
    return [EngineParity(a, b) for a, b in combinations(engines, 2)]
