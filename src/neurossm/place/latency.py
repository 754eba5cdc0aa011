"""How many time steps a program's answer lags behind its input on pipelined hardware."""

from __future__ import annotations

from neurossm.program import Dense, Program


def latency_steps(program: Program) -> int:
    """Return the steps between the last input and the answer.

    Every `Dense` delivers its sums one step after its spikes; everything else works within a step.
    The latency is the largest number of Dense operations on any path.
    """
    return depths(program)[program.readout.name]


def depths(program: Program) -> dict[str, int]:
    """Return for every tensor the number of steps it lags behind the input."""
    depth: dict[str, int] = {}
    for op in program.ops:
        behind = max((depth[name] for name in op.inputs), default=0)
        depth[op.name] = behind + isinstance(op, Dense)
    return depth
