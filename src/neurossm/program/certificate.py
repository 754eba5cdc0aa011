"""Prove, from the integers alone, what every tensor of a program can reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import FormatError, LimitError
from neurossm.program.dense import Dense
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval, TensorSpec

if TYPE_CHECKING:
    from neurossm.program.program import Program

_ROUNDING_BITS = 30
"""Sums of floats may differ between machines by so little of their value: 2^-30, and one integer
for the rounding outwards."""


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
    """Return the program with every bound computed anew from its integers; see `derive`."""
    return program.with_ops(derive(program.ops))


def derive(ops: Iterable[Op]) -> tuple[Op, ...]:
    """Return a program's operations with the bounds that follow from their integers alone.

    Independent of how the exponents were chosen and of what the operations claim: the bounds follow
    from the operations' own arithmetic, the poles' series and the declared input.

    Raises
    ------
    LimitError
        Arithmetic that does not fit exact integers, or an operation that does not saturate, such
        as a Dense, and whose result may need more bits than its tensor has.
    """
    done: dict[str, Op] = {}
    for op in ops:
        done[op.name] = op.certified(*(done[name].out.interval for name in op.inputs))
        refuse_wrap(done[op.name])
    return tuple(done.values())


def hold(ops: Iterable[Op]) -> tuple[Op, ...]:
    """Return a program's operations once what they claim is known to hold; refuse what does not.

    `low`, `high` and `proved` of a tensor are claims: engines choose number types and leave out
    saturation by them, so a false one gives false integers without a word. This is the one place
    that turns claims into trust. Every `Program` passes here when it is made (by the compiler, from
    a file, by hand, out of another), so none exists whose claims are false, and no engine need ask.

    Claims are compared with what the integers prove, operation by operation from the declared
    input. Wider claims are taken as they are. Narrower ones are refused, with one exception: the
    bounds of an SSM are sums of floats, which another machine may round to the next integer. Claims
    that follow from an SSM's bounds but for such a rounding are widened to what is proved here.

    An operation keeps the proof that `Op.certified` made, so compiling and cutting a program pay
    for nothing twice; a file's proof is remembered by content (`certificate_cache`).

    Raises
    ------
    FormatError
        An operation claims more than can be proved.
    LimitError
        As for `derive`.
    """
    claimed: dict[str, Interval] = {}
    proved: dict[str, Interval] = {}
    sound = []
    for op in ops:
        spec = op.proof(*(proved[name] for name in op.inputs))
        refuse_wrap(op, spec)
        if not _includes(op.out, spec):
            op = _widened(op, spec, [claimed[name] for name in op.inputs])
        claimed[op.name], proved[op.name] = op.out.interval, spec.interval
        sound.append(op)
    return tuple(sound)


def _includes(claim: TensorSpec, spec: TensorSpec, slack: IntArray | int = 0) -> bool:
    """Tell whether claims, wider by `slack`, say no more than a specification."""
    within = (claim.low - slack <= spec.low).all() and (claim.high + slack >= spec.high).all()
    return bool(within) and claim.proved <= spec.proved


def _widened(op: Op, spec: TensorSpec, claimed: Sequence[Interval]) -> Op:
    """Return an operation whose claims differ from its proof by rounding, with both in its bounds.

    That is so where they follow from what is claimed of its inputs.
    """
    local = op.proof(*claimed)
    rounded = op.float_bounds and op.emits != "spikes"  # whose states' bounds alone are rounded
    slack = 1 + (local.interval.largest() >> _ROUNDING_BITS) if rounded else 0
    if not (op.out.proved <= spec.proved and _includes(op.out, local, slack)):
        raise FormatError(_false_claim(op, spec))
    low, high = np.minimum(op.out.low, spec.low), np.maximum(op.out.high, spec.high)
    return replace(op, out=replace(op.out, low=low, high=high))


def _false_claim(op: Op, spec: TensorSpec) -> str:
    outside = (op.out.low > spec.low) | (op.out.high < spec.high)
    if outside.any():
        c = int(np.argmax(outside))
        what = (
            f"claims [{op.out.low[c]}, {op.out.high[c]}] for channel {c}, but its integers "
            f"prove no more than [{spec.low[c]}, {spec.high[c]}]"
        )
    else:
        what = f"claims a proof that {op.out.bits} bits hold it, but its integers prove none"
    return f"{op.name}: {what}; it was altered, or made by something else: compile it again"


def refuse_wrap(op: Op, spec: TensorSpec | None = None) -> None:
    """Refuse a certified operation that could wrap: one that does not saturate and is not proved.

    `spec` is what is proved of its output: by default, what a certified operation claims.

    Raises
    ------
    LimitError
        The bound of the result needs more bits than the tensor, or the target's accumulator, has.
    """
    if op.saturates or (spec or op.out).proved:
        return
    if isinstance(op, Dense):
        raise LimitError(
            f"{op.name}: the weighted sum could wrap the accumulator (it may need more than "
            f"{op.out.bits} bits); use narrower weights or inputs, or split the layer"
        )
    raise LimitError(f"{op.name}: its integers may need more than the {op.out.bits} bits it has")


def certificates(program: Program) -> tuple[Certificate, ...]:
    """List every tensor, states included, with its width, bound and whether it is proved.

    All of it is derived from the integers, whatever wider bounds the program claims.
    """
    rows = []
    proved: dict[str, Interval] = {}
    for op in program.ops:
        inputs = [proved[name] for name in op.inputs]
        if op.states:
            rows.append(_state_certificate(op, program[op.inputs[0]].out.exponent, *inputs))
        reached = op.bounds(*inputs)
        proved[op.name] = reached.clipped(op.out.bits)
        bound = int(reached.largest().max())
        rows.append(
            Certificate(
                op.name,
                op.out.bits,
                (int(op.out.exponent.min()), int(op.out.exponent.max())),
                bound,
                reached.within(op.out.bits),
                headroom_bits(op.out.bits, bound),
            )
        )
    return tuple(rows)


def _state_certificate(op: Op, exponents: IntArray, *inputs: Interval) -> Certificate:
    bounds = op.state_bounds(*inputs).values()
    largest = max(int(max(-part.low.min(), part.high.max())) for part in bounds)
    exponent = op.state_exponent(exponents)
    bits = max(op.width_of(state) for state in op.states)
    return Certificate(
        op.state_tally,
        bits,
        (int(exponent.min()), int(exponent.max())),
        largest,
        op.states_proved(*inputs),
        headroom_bits(bits, largest),
    )
