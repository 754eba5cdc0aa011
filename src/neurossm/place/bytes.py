"""How many bytes the numbers of an operation take, per channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from neurossm.arrays import IntArray
from neurossm.program import Op, Program
from neurossm.program.fields import declared


@dataclass(frozen=True)
class Variant:
    """Widths and sizes to place a program with instead of its own (None keeps them)."""

    state_bits: int | None = None
    weight_bits: int | None = None
    modes: int | None = None


AS_COMPILED = Variant()


def readout_sum_bits(program: Program) -> int:
    """Return the signed width of what the readout keeps of `max_steps` steps."""
    reach = program[program.readout.inputs[0]].out.interval.largest()
    return int(reach.max()).bit_length() + (program.readout.summed_steps - 1).bit_length() + 1


def whole_bytes(bits: int) -> int:
    """Return the bytes that hold so many bits."""
    return -(-bits // 8)


def signed_bits(values: IntArray) -> int:
    """Return the width of the smallest signed integers that hold all values."""
    low, high = int(values.min()), int(values.max())
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1


def field_bytes(*fields: IntArray) -> int:
    """Return the bytes of one channel's number of each field, as wide as its largest."""
    return sum(whole_bytes(signed_bits(field)) for field in fields)


def weights_bytes(weight: IntArray, weight_bits: int | None) -> int:
    """Return the bytes of one row of a weight matrix, packed."""
    bits = signed_bits(weight)
    return whole_bytes(weight.shape[1] * (bits if weight_bits is None else min(bits, weight_bits)))


def resized(op: Op, variant: Variant) -> Op:
    """Return an operation with fewer modes; only its sizes mean anything then."""
    if variant.modes is None or variant.modes >= op.modes:
        return op
    kept: dict[str, Any] = {
        name: getattr(op, name)[:, : variant.modes] for name in _fields(op, "mode")
    }
    return replace(op, **kept)


def state_bytes(op: Op, variant: Variant) -> int:
    """Return the bytes of one channel's states."""
    numbers = {"channel": 1, "mode": op.modes}
    return sum(
        numbers[state.axis] * whole_bytes(variant.state_bits or op.width_of(state))
        for state in op.states
    )


def parameter_bytes(op: Op) -> int:
    """Return the bytes of the parameters of one channel of an operation.

    Numbers that all channels share are part of the core's program.
    """
    per_mode, per_channel = (
        field_bytes(*(op.stored(name) for name in _fields(op, axis)))
        for axis in ("mode", "channel")
    )
    return op.modes * per_mode + per_channel


def absent_bytes(op: Op, variant: Variant) -> tuple[float, float]:
    """Return the bytes of states and of parameters that the mean channel's absent modes would take.

    So much less than `state_bytes` and `parameter_bytes` say, which are the largest channel's.
    """
    absent = op.modes - float(op.mode_counts.mean()) if op.modes else 0.0
    if not absent:
        return 0.0, 0.0
    widths = [variant.state_bits or op.width_of(s) for s in op.states if s.axis == "mode"]
    per_mode = field_bytes(*(op.stored(name) for name in _fields(op, "mode")))
    return absent * sum(map(whole_bytes, widths)), absent * per_mode


def table_bytes(op: Op) -> int:
    """Return the bytes of the tables that all channels of an operation share."""
    tables = [op.stored(name) for name in _fields(op, "entry")]
    return sum(table.size * field_bytes(table) for table in tables)


def _fields(op: Op, axis: str) -> list[str]:
    """Return the names of the fields that have one number per channel, mode or table's entry."""
    return [field.name for field in declared(type(op)) if field.metadata["axis"] == axis]
