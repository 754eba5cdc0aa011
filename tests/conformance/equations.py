"""Mutants of operations' equations, generated: every instruction altered by one unit or neighbour.

A mutant is an equation like any other, so that whatever reads equations (the reference, the bounds,
the printers of kernels) reads it without knowing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from neurossm.program.expression import (
    Expression,
    Step,
    floor_shift,
    greater,
    largest,
    lookup,
    maximum,
    minimum,
    number,
    rshift,
    saturated,
    select,
    total,
)
from neurossm.program.fields import declared
from neurossm.program.operation import Op
from neurossm.program.operations import OP_TYPES

Change = tuple[str, Expression]
KINDS = tuple(kind for kind in OP_TYPES.values() if kind.traced() is not None)
"""All types of operations with an equation."""


class Mutant(NamedTuple):
    """An altered equation, under a name that says where and what."""

    name: str
    kind: type[Op]
    step: Step
    is_claim: bool = False
    """Whether only a promised bound was narrowed: no integer changes, bounds must."""


def mutants(kind: type[Op]) -> Iterator[Mutant]:
    """Yield all mutants of an operation's equation."""
    step = kind.traced()
    assert step is not None
    nodes = _nodes(step)
    following = {id(value): name for name, value in step.states.items()}
    for n, node in enumerate(nodes):
        where = f"{kind.__name__} {n}, {node.kind}"
        for what, changed in _changes(node):
            yield Mutant(f"{where}: {what}", kind, _replaced(step, node, changed))
        for i, argument in enumerate(node.args):
            for what, other in _neighbours(kind, step, following, node, argument):
                args = (*node.args[:i], other, *node.args[i + 1 :])
                changed = replace(node, args=args)
                name = f"{where}: {what} for its argument {i}"
                yield Mutant(name, kind, _replaced(step, node, changed))
        if node.known is not None:
            for what, known in _narrowed(*node.known):
                changed = replace(node, known=known)
                yield Mutant(f"{where}: {what}", kind, _replaced(step, node, changed), True)
    names = list(step.states)
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        if name != other:
            states = step.states | {name: step.states[other]}
            yield Mutant(
                f"{kind.__name__}: {name} becomes {other}", kind, replace(step, states=states)
            )


def _nodes(step: Step) -> list[Expression]:
    """Return all expressions of an equation but leaves, each once, parts first."""
    found: dict[int, Expression] = {}

    def visit(e: Expression) -> None:
        if id(e) not in found and e.args:
            for part in e.args:
                visit(part)
            found[id(e)] = e

    for end in (step.result, *step.states.values()):
        visit(end)
    return list(found.values())


def _replaced(step: Step, old: Expression, new: Expression) -> Step:
    """Return the equation with one expression replaced wherever it is read."""
    done = {id(old): new}

    def rebuilt(e: Expression) -> Expression:
        if id(e) not in done:
            args = tuple(rebuilt(part) for part in e.args)
            same = all(a is b for a, b in zip(args, e.args, strict=True))
            done[id(e)] = e if same else replace(e, args=args)
        return done[id(e)]

    states = {name: rebuilt(value) for name, value in step.states.items()}
    return Step(rebuilt(step.result), states)


def _changes(e: Expression) -> Iterator[Change]:
    """Yield what takes the place of an instruction."""
    for what, changed in _CHANGES[e.kind](*e.args):
        yield what, replace(changed, known=e.known, label=e.label)
    if e.kind not in ("greater", "select"):
        yield "one more", replace(e, known=None) + 1


def _sides(a: Expression, b: Expression) -> Iterator[Change]:
    yield "only the first", a + 0
    yield "only the second", b + 0


def _extreme(other: Callable[..., Expression]) -> Callable[..., Iterator[Change]]:
    def changes(a: Expression, b: Expression) -> Iterator[Change]:
        yield "the other extreme", other(a, b)
        yield from _sides(a, b)

    return changes


def _of_rshift(p: Expression, k: Expression) -> Iterator[Change]:
    right = greater(k, 0)
    yield "one bit further", rshift(p, k + 1)
    yield "one bit less", rshift(p, k - 1)
    yield "rounded down", select(right, floor_shift(p, maximum(k, 0)), rshift(p, k))
    yield "halves down", rshift(p - right, k)
    yield "not shifted", p + 0


def _of_floor_shift(p: Expression, k: Expression) -> Iterator[Change]:
    yield "one bit further", floor_shift(p, k + 1)
    yield "one bit less", floor_shift(p, maximum(k - 1, 0))
    yield "to nearest", rshift(p, k)


def _of_greater(a: Expression, b: Expression) -> Iterator[Change]:
    yield "or equal", greater(a + 1, b)
    yield "by two", greater(a - 1, b)
    yield "swapped", greater(b, a)


def _of_saturated(p: Expression, bits: Expression) -> Iterator[Change]:
    yield "one bit wider", saturated(p, bits + 1)
    yield "one bit narrower", saturated(p, bits - 1)
    yield "no limit", p + 0


def _of_sub(a: Expression, b: Expression) -> Iterator[Change]:
    yield "added", a + b
    yield "swapped", b - a
    yield "only the first", a + 0


def _of_add(a: Expression, b: Expression) -> Iterator[Change]:
    yield "subtracted", a - b
    yield from _sides(a, b)


_CHANGES: dict[str, Callable[..., Iterator[Change]]] = {
    "add": _of_add,
    "sub": _of_sub,
    "mul": lambda a, b: iter([("added", a + b), *_sides(a, b)]),
    "rshift": _of_rshift,
    "floor_shift": _of_floor_shift,
    "minimum": _extreme(maximum),
    "maximum": _extreme(minimum),
    "greater": _of_greater,
    "select": lambda c, a, b: iter([("swapped", select(c, b, a))]),
    "lookup": lambda t, i: iter(
        [("the next entry", lookup(t, i + 1)), ("the one before", lookup(t, i - 1))]
    ),
    "bit_length": lambda a: iter(()),
    "total": lambda a: iter([("the largest", largest(a))]),
    "largest": lambda a: iter([("the sum", total(a))]),
    "over_modes": lambda a: iter(()),
    "saturated": _of_saturated,
}


def _neighbours(
    kind: type[Op], step: Step, following: dict[int, str], node: Expression, e: Expression
) -> Iterator[Change]:
    """Yield what an instruction may read instead of one argument."""
    if e.kind == "number":
        yield f"{e.value + 1}", number(e.value + 1)
        yield f"{e.value - 1}", number(e.value - 1)
    elif e.kind == "field":
        yield (
            f"{e.name} + 1",
            e + 1 if e.axis != "entry" else replace(e, kind="add", args=(e, number(1))),
        )
        other = _next(_fields(kind, e.axis), e.name)
        if other is not None:
            yield f"{other}", Expression("field", axis=e.axis, name=other)
    elif e.kind == "input" and kind.arity > 1:
        other_input = (e.value + 1) % kind.arity
        yield "xy"[other_input], replace(e, value=other_input)
    elif e.kind == "state":
        axes = [state.name for state in kind.states if state.axis == e.axis]
        other = _next(axes, e.name)
        if other is not None:
            yield f"{other}", replace(e, name=other)
        new = step.states[e.name]
        if not _reads(new, node):
            yield f"the new {e.name}", new
    if id(e) in following:
        name = following[id(e)]
        yield f"the old {name}", Expression("state", axis=e.axis, name=name)
        (unclipped,) = e.args[:1]
        yield f"{name} before saturation", unclipped


def _fields(kind: type[Op], axis: str) -> list[str]:
    """Return the fields of an axis, those that are derived from others included."""
    own = [field.name for field in declared(kind) if field.metadata["axis"] == axis]
    return own + [name for name, of in kind.derived.items() if of == axis]


def _next(names: list[str], name: str) -> str | None:
    return names[(names.index(name) + 1) % len(names)] if len(names) > 1 else None


def _reads(e: Expression, part: Expression) -> bool:
    return e is part or any(_reads(argument, part) for argument in e.args)


def _narrowed(low: int, high: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield a promise that leaves a quarter out at one end."""
    quarter = (high - low + 3) // 4
    yield "promised to be larger", (low + quarter, high)
    yield "promised to be smaller", (low, high - quarter)
