"""In which order operations are computed, and which of them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neurossm.program import Input, Op, Program


@dataclass(frozen=True)
class OpGroup:
    """Operations computed at once.

    `inputs` are the tensors they read of others; `outputs` those that others read, or that are
    asked for, and `needed` the former alone; `finished` are the inputs that nothing reads later.
    """

    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    needed: tuple[str, ...]
    finished: tuple[str, ...]


def schedule(
    program: Program, kept: frozenset[str], joins: Callable[[Op], bool]
) -> tuple[OpGroup, ...]:
    """Order a program's operations into tasks; the last task ends with the readout.

    Parameters
    ----------
    program
        The program.
    kept
        Tensors that are asked for, besides what operations need.
    joins
        Tells of an operation whether it may be computed together with others of its kind that have
        as many channels. What may not is computed as soon as its inputs are there, so that the
        others come in long chains.
    """
    known = {op.name for op in program.ops if isinstance(op, Input)}
    left = [op for op in program.ops if not isinstance(op, Input)]
    groups: list[tuple[Op, ...]] = []
    while left:
        group = _alone(left, known, joins) or _chain(left, known, joins)
        groups.append(group)
        known |= {op.name for op in group}
        left = [op for op in left if op not in group]
    return _tasks(groups, kept)


def _alone(left: list[Op], known: set[str], joins: Callable[[Op], bool]) -> tuple[Op, ...]:
    """Return the first operation that can be computed and must be alone."""
    return next(((op,) for op in left if not joins(op) and known.issuperset(op.inputs)), ())


def _chain(left: list[Op], known: set[str], joins: Callable[[Op], bool]) -> tuple[Op, ...]:
    """Return all that follow from what is known and join the first of them."""
    chain: list[Op] = []
    reached = set(known)
    for op in left:
        if not joins(op) or not reached.issuperset(op.inputs):
            continue
        if chain and op.out.channels != chain[0].out.channels:
            continue
        chain.append(op)
        reached.add(op.name)
    return tuple(chain)


def _tasks(groups: list[tuple[Op, ...]], kept: frozenset[str]) -> tuple[OpGroup, ...]:
    tasks: list[OpGroup] = []
    later: set[str] = set()
    for group in reversed(groups):
        names = [op.name for op in group]
        inputs = dict.fromkeys(name for op in group for name in op.inputs if name not in names)
        task = OpGroup(
            ops=group,
            inputs=tuple(inputs),
            outputs=tuple(name for name in names if name in later or name in kept),
            needed=tuple(name for name in names if name in later),
            finished=tuple(name for name in inputs if name not in later),
        )
        tasks.append(task)
        later |= set(inputs)
    return tuple(reversed(tasks))
