"""How many time steps a program's answer lags behind its input on pipelined hardware."""

from __future__ import annotations

from neurossm.program import Program


def latency_steps(program: Program) -> int:
    """Return the steps between the last input and the answer.

    Every weighted sum arrives one step after its spikes, but for the selection of a token's
    weights; everything else works within a step. The latency is the largest number of such sums on
    any path.
    """
    return depths(program)[program.readout.name]


def depths(program: Program) -> dict[str, int]:
    """Return for every tensor the number of steps it lags behind the input."""
    depth: dict[str, int] = {}
    for op in program.ops:
        behind = max((depth[name] for name in op.inputs), default=0)
        delayed = op.sums and program[op.inputs[0]].emits != "token"
        depth[op.name] = behind + delayed
    return depth
