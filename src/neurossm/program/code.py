"""An equation as a list of instructions, in an order in which each follows what it reads.

What depends on fields alone is a parameter: it is computed once for an operation, not at every
step. Everything that reads an equation (evaluation, bounds, counts, the engines' code) reads this.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from neurossm.program.expression import Expression, Step


@dataclass(frozen=True)
class Instruction:
    """One primitive, or a leaf: "input", "state", "parameter", "number".

    Parameters
    ----------
    kind
        Name of the primitive or leaf.
    args
        Numbers of the instructions it reads.
    axis
        "shared", "row", "channel", "mode", or "entry" for a table.
    name
        Of a state.
    value
        A number; which input; which parameter.
    expression
        What it stands for.
    """

    kind: str
    args: tuple[int, ...]
    axis: str
    name: str
    value: int
    expression: Expression

    @property
    def known(self) -> tuple[int, int] | None:
        """Bounds that are proved elsewhere."""
        return self.expression.known


@dataclass(frozen=True, eq=False)
class Code:
    """The instructions of one time step.

    Parameters
    ----------
    instructions
        In order.
    result
        Number of the one whose value is the operation's output, before saturation.
    states
        For each state, the number of the instruction that gives its next value.
    parameters
        What is computed from fields alone, for every operation once.
    """

    instructions: tuple[Instruction, ...]
    result: int
    states: dict[str, int]
    parameters: tuple[Expression, ...]


@lru_cache(maxsize=256)
def code_of(step: Step) -> Code:
    """Return the instructions of an equation."""
    writer = _Writer()
    result = writer.write(step.result)
    states = {name: writer.write(value) for name, value in step.states.items()}
    return Code(tuple(writer.instructions), result, states, tuple(writer.parameters))


class _Writer:
    """Lists expressions, each once."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.parameters: list[Expression] = []
        self._numbers: dict[int, int] = {}
        self._varies: dict[int, bool] = {}
        self._kept: list[Expression] = []  # so that no id is given twice

    def write(self, e: Expression) -> int:
        """Return the number of the instruction that computes an expression."""
        if id(e) not in self._numbers:
            self._kept.append(e)
            self._numbers[id(e)] = self._append(e)
        return self._numbers[id(e)]

    def _append(self, e: Expression) -> int:
        kind, value = e.kind, e.value
        args: tuple[int, ...] = ()
        if kind != "number" and not self._is_variable(e):
            self.parameters.append(e)
            kind, value = "parameter", len(self.parameters) - 1
        else:
            args = tuple(self.write(part) for part in e.args)
        self.instructions.append(Instruction(kind, args, e.axis, e.name, value, e))
        return len(self.instructions) - 1

    def _is_variable(self, e: Expression) -> bool:
        if id(e) not in self._varies:
            self._kept.append(e)
            self._varies[id(e)] = e.kind in ("input", "state") or any(
                self._is_variable(part) for part in e.args
            )
        return self._varies[id(e)]
