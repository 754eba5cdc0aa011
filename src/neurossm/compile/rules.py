"""How each type of node becomes operations: one table that `format_planner` and `emit` read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from neurossm.errors import UnsupportedError
from neurossm.graph import Node

if TYPE_CHECKING:
    from neurossm.compile.emit.builder import Builder


class Need(Enum):
    """What a node asks of the tensors that it reads."""

    ANY = auto()
    """Nothing: exponents may differ by channel."""
    UNIFORM = auto()
    """One exponent for all channels, which it combines."""
    SUMMED = auto()
    """As UNIFORM, and so narrow that the accumulator holds the weighted sum."""
    TABULATED = auto()
    """One exponent, so fine that a table's segments are several integers wide."""
    ADDED = auto()
    """The exponent of the residual stream."""
    AVERAGED = auto()
    """One exponent; the stream's where it may choose."""


@dataclass(frozen=True)
class Rule:
    """What the compiler knows of a type of node.

    Parameters
    ----------
    emit
        Appends the operations that stand for a node.
    needs
        Of every input.
    fixed
        The output's format follows from the node itself: nobody chooses it.
    width
        The width of a chosen format, by its name in `Widths`.
    uses
        The widths that the node's numbers have, for `layer_widths`.
    """

    emit: Callable[[Any, Builder], None]
    needs: Need
    fixed: bool
    width: str
    uses: tuple[str, ...]


RULES: dict[type[Node], Rule] = {}
"""By type of node; filled by the modules of `neurossm.compile.emit`."""
_Emit = TypeVar("_Emit", bound=Callable[[Any, Any], None])


def emits(
    kind: type[Node],
    needs: Need = Need.ANY,
    *,
    fixed: bool = False,
    width: str = "residual",
    uses: tuple[str, ...] = (),
) -> Callable[[_Emit], _Emit]:
    """Enter a function that emits a type of node into the table; see `Rule`."""

    def register(emit: _Emit) -> _Emit:
        RULES[kind] = Rule(emit, needs, fixed, width, uses)
        return emit

    return register


def rule_of(node: Node) -> Rule:
    """Return the rule for a node.

    Raises
    ------
    UnsupportedError
        It has no integer form.
    """
    if type(node) not in RULES:
        raise UnsupportedError(
            f"{node.name}: the compiler has no integer form for a {type(node).__name__}"
        )
    return RULES[type(node)]
