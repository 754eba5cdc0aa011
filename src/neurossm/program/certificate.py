"""Prove, from the integers alone, what every tensor of a program can reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.errors import LimitError
from neurossm.program.dense import Dense
from neurossm.program.operation import Op
from neurossm.program.program import Program
from neurossm.program.ssm import SSM
from neurossm.program.tensor import TensorSpec


@dataclass(frozen=True)
class Certificate:
    """What is known of one tensor.

    `bound` is the largest magnitude (before saturation) over channels; `proved` says that it
    fits `bits` for every admissible input, so that saturation can never happen. `headroom_bits`
    is `log2(2^(bits - 1) / bound)`: how many bits fewer would do, or, where it is negative, how
    many are missing for a proof.
    """

    name: str
    bits: int
    exponent: tuple[int, int]
    bound: int
    proved: bool
    headroom_bits: float


def headroom_bits(bits: int, bound: int) -> float:
    """Return how many bits of a width a bound leaves unused; negative where it needs more."""
    return bits - 1 - float(np.log2(max(bound, 1)))


def certify(program: Program) -> Program:
    """Return the program with every bound computed anew from its integers.

    Independent of how the exponents were chosen: the bounds follow from the operations' own
    arithmetic, the poles' series and the declared input.

    Raises
    ------
    LimitError
        Arithmetic that does not fit exact integers, or an operation that does not saturate, such
        as a Dense, and whose result may need more bits than its tensor has.
    """
    ops: dict[str, Op] = {}
    for op in program.ops:
        ops[op.name] = op.certified(*(ops[name].out.interval for name in op.inputs))
        refuse_wrap(ops[op.name])
    return program.with_ops(ops.values())


def refuse_wrap(op: Op) -> None:
    """Refuse a certified operation that could wrap: one that does not saturate and is not proved.

    Raises
    ------
    LimitError
        The bound of the result needs more bits than the tensor, or the target's accumulator, has.
    """
    if op.saturates or op.out.proved:
        return
    if isinstance(op, Dense):
        raise LimitError(
            f"{op.name}: the weighted sum could wrap the accumulator (it may need more than "
            f"{op.out.bits} bits); use narrower weights or inputs, or split the layer"
        )
    raise LimitError(f"{op.name}: its integers may need more than the {op.out.bits} bits it has")


def certificates(program: Program) -> tuple[Certificate, ...]:
    """List every tensor, SSM states included, with its width, bound and whether it is proved."""
    rows = []
    for op in program.ops:
        inputs = [program[name].out.interval for name in op.inputs]
        if isinstance(op, SSM):
            rows.append(_state_certificate(op, program[op.inputs[0]].out))
        bound = int(op.bounds(*inputs).largest().max())
        rows.append(
            Certificate(
                op.name,
                op.out.bits,
                (int(op.out.exponent.min()), int(op.out.exponent.max())),
                bound,
                op.out.proved,
                headroom_bits(op.out.bits, bound),
            )
        )
    return tuple(rows)


def _state_certificate(op: SSM, drive: TensorSpec) -> Certificate:
    bounds = op.state_bounds(drive.interval).values()
    largest = max(int(max(-part.low.min(), part.high.max())) for part in bounds)
    exponent = drive.exponent[:, None] + op.input_shift  # (H, N)
    return Certificate(
        f"{op.name}:state",
        op.state_bits,
        (int(exponent.min()), int(exponent.max())),
        largest,
        op.states_proved(drive.interval),
        headroom_bits(op.state_bits, largest),
    )
