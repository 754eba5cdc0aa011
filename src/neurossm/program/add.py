"""The sum of two tensors, channel by channel: the residual connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurossm.errors import FormatError
from neurossm.program.expression import Expression
from neurossm.program.fields import Symbols
from neurossm.program.operation import Op


@dataclass(frozen=True, eq=False)
class Add(Op):
    """`z = sat(x + y)`; both have the output's exponent."""

    arity: ClassVar[int] = 2
    merges: ClassVar[bool] = True

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Add."""
        return x[0] + x[1]

    def check_sources(self, sources: tuple[Op, ...]) -> None:
        """Refuse other exponents than the sum's."""
        for source in sources:
            if (source.out.exponent != self.out.exponent).any():
                raise FormatError(f"{self.name}: {source.name!r} has other exponents than the sum")
