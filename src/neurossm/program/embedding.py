"""Selection of weights by a token: one spike among as many inputs as there are tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurossm.arrays import IntArray
from neurossm.errors import FormatError
from neurossm.program.arithmetic import Tally
from neurossm.program.fields import freeze_integers
from neurossm.program.operation import Op, States
from neurossm.program.source import Input
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Embedding(Op):
    """`z = weight[token]`: one spike selects a row of `weight` (V, H)."""

    weight: IntArray
    saturates: ClassVar[bool] = False
    sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze_integers(self, "weight", (None, self.out.channels))

    def step(self, state: States, *inputs: IntArray, tally: Tally) -> tuple[States, IntArray]:
        """Compute (B, 1) token numbers to (B, H)."""
        (token,) = inputs
        return state, self.weight[token[:, 0]]

    def bounds(self, *inputs: Interval) -> Interval:
        """Any row of a token that can occur may be selected."""
        (token,) = inputs
        rows = self.weight[: int(token.high[0]) + 1]
        return Interval(rows.min(axis=0), rows.max(axis=0))

    def input_channels(self) -> tuple[int | None, ...]:
        """One token per step."""
        return (1,)

    def check_sources(self, sources: tuple[Op, ...]) -> None:
        """Refuse anything but tokens, and fewer rows than there are tokens."""
        (source,) = sources
        if not isinstance(source, Input) or source.kind != "tokens":
            raise FormatError(f"{self.name}: an Embedding reads an input of kind 'tokens' only")
        if source.size > len(self.weight):
            raise FormatError(
                f"{self.name}: {len(self.weight)} rows for a vocabulary of {source.size} tokens"
            )

    @property
    def synapses(self) -> IntArray:
        """The weights, one row per output channel, (H, V)."""
        return self.weight.T
