"""Computes single operations again, from the tensors that a program is known to lead to.

If an engine with one altered operation differs from known tensors and states at all, then it
differs at some first step and operation, which got the known inputs and states. So it is enough to
give each operation of the altered type the known inputs and, at every step, the known old states:
what differs here differs in a run, and the other way round. Steps become samples of one step.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import emulation
import numpy as np

from neurossm.errors import NeuroSSMError
from neurossm.program import operation
from neurossm.program.arithmetic import MAX_SHIFT, saturate
from neurossm.program.code import Instruction, code_of
from neurossm.program.evaluate import Evaluator
from neurossm.program.expression import Step
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval


def _derive(name: str) -> Any:
    """Return a module of the printers as it is at the moment, altered or not."""
    return importlib.import_module(f"neurossm.derive.{name}")


class NotInFloatsError(Exception):
    """No kernel of floats, or none that is exact: the engine computes in integers."""


class ShiftError(Exception):
    """A shift by more bits than a machine word has."""


@dataclass(frozen=True, eq=False)
class Part:
    """One operation with the integers (rows, C) it got and gave; states are (rows, H, N)."""

    case: str
    op: Op
    bounds: tuple[Interval, ...]
    inputs: tuple[np.ndarray, ...]
    output: np.ndarray
    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    clipped: Mapping[str, int]

    @property
    def size(self) -> int:
        """How much there is to compute."""
        return self.output.size * max(self.op.modes, 1)


def parts(cases: Iterable[Any]) -> dict[type[Op], list[Part]]:
    """Return the operations with equations of some programs, by type, small ones first."""
    found: dict[type[Op], list[Part]] = {}
    exactness = _derive("exactness")
    for case in cases:
        intervals: dict[str, Interval] = {}
        for op in case.program.ops:
            bounds = tuple(intervals[name] for name in op.inputs)
            intervals[op.name] = exactness.interval_of(op, *bounds)
            if op.traced() is not None:
                found.setdefault(type(op), []).append(_part(case, op, bounds))
    return {kind: sorted(some, key=lambda part: part.size) for kind, some in found.items()}


def _part(case: Any, op: Op, bounds: tuple[Interval, ...]) -> Part:
    tensors = case.vectors
    before, after = {}, {}
    for state in op.states:
        values = tensors[f"tensors/{op.state_name(state)}"]
        old = np.zeros_like(values)
        old[:, 1:] = values[:, :-1]
        after[state.name] = values.reshape(-1, *values.shape[2:])
        before[state.name] = old.reshape(after[state.name].shape)
    return Part(
        case.name,
        op,
        bounds,
        tuple(_rows(tensors[f"tensors/{name}"]) for name in op.inputs),
        _rows(tensors[f"tensors/{op.name}"]),
        before,
        after,
        {name: int(tensors.get(f"saturations/{name}", 0)) for name in (op.name, op.state_tally)},
    )


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1]).astype(np.int64)


@contextmanager
def altered(kind: type[Op], step: Step, some: Sequence[Part]) -> Iterator[None]:
    """Let a type of operations have another equation while the block runs."""
    whole: Callable[[type[Op]], Step | None] = operation._traced

    def forget() -> None:
        for part in some:
            for name in ("parameters", "_evaluator"):
                vars(part.op).pop(name, None)

    forget()
    with mock.patch.object(operation, "_traced", lambda of: step if of is kind else whole(of)):
        yield
    forget()


class Watched(Evaluator):
    """An evaluator that keeps the value of every instruction and refuses shifts beyond a word."""

    def _value(self, number: int, item: Instruction, values: Any, *rest: Any) -> Any:
        self.values = values
        if item.kind in ("rshift", "floor_shift"):
            _check_shift(values[item.args[1]], item.kind)
        return super()._value(number, item, values, *rest)


def _check_shift(k: Any, kind: str) -> None:
    least = -MAX_SHIFT if kind == "rshift" else 0
    if np.min(k) < least or np.max(k) > MAX_SHIFT:
        raise ShiftError(f"{kind} by {np.min(k)} to {np.max(k)}")


def reference(part: Part) -> str | None:
    """Return what differs in the reference, or None."""
    op, tally = part.op, Counter[str]()
    evaluator = Watched(op)

    def clip(value: np.ndarray, bits: int) -> np.ndarray:
        return saturate(value, bits, tally, op.state_tally)

    out, following = evaluator(part.inputs, part.before, clip)
    if op.saturates:
        out = saturate(out, op.out.bits, tally, op.name)
    return _difference(part, out, following, tally)


def bounds(part: Part) -> str | None:
    """Return an instruction whose value lies outside of its bounds, or None."""
    evaluator = Watched(part.op)
    evaluator(part.inputs, part.before, lambda value, bits: saturate(value, bits, Counter(), ""))
    reached = part.op.reaches(*part.bounds)
    for n, (value, reach) in enumerate(zip(evaluator.values, reached, strict=True)):
        item = part.op.code.instructions[n]
        if item.axis != "entry" and not ((value >= reach.low) & (value <= reach.high)).all():
            return f"the bounds of {n}, {item.expression.equation}"
    return None


def in_integers(part: Part) -> str | None:
    """Return what differs in the kernel of integers, run as plain Python, or None."""
    op, rows, integers = part.op, len(part.output), _derive("integers")
    kernel = _integer_kernel(op)
    state = [part.before[s.name].reshape(rows, -1) for s in op.states]
    states = np.stack(state, axis=2).reshape(rows, -1) if state else np.zeros((rows, 0), np.int64)
    channels, room = op.out.channels, states.shape[1]
    values = [x.ravel().tolist() for x in part.inputs]
    out, record = [0] * part.output.size, _Sized([0] * states.size)
    p = integers.parameters_of(op).tolist()
    kernel_states = states.ravel().tolist()
    clipped = kernel(
        values[0], values[-1], out, kernel_states, record, p,
        rows, 1, channels, channels, max(op.modes, 1), room, room,
    )  # fmt: skip
    found = np.array(out, object).reshape(part.output.shape)
    after = np.array(kernel_states).reshape(rows, -1, max(len(op.states), 1))
    following = {
        s.name: after[..., i].reshape(part.after[s.name].shape) for i, s in enumerate(op.states)
    }
    if list(record) != kernel_states:
        return "the recorded states"
    return _saturated(part, found, following, clipped)


class _Sized(list[int]):
    @property
    def size(self) -> int:
        return len(self)


def _integer_kernel(op: Op) -> Callable[..., int]:
    integers = _derive("integers")
    forms = {"floor_shift": "floor_shift({0}, {1})"}  # which says what it refuses
    with mock.patch.dict(integers._FORMS, forms):
        source = integers.kernel_source("kernel", type(op))
    return _built(source, {"rshift": _rshift, "floor_shift": _floor_shift, **_INTS})


def _rshift(p: int, k: int) -> int:
    _check_shift(k, "rshift")
    return (p + (1 << k >> 1)) >> k if k >= 0 else p << -k


def _floor_shift(p: int, k: int) -> int:
    _check_shift(k, "floor_shift")
    return p >> k


_INTS: dict[str, Any] = {"int64": int, "bit_length": lambda value: max(value, 0).bit_length()}
_FLOATS = {name: value for name, value in vars(emulation).items() if name[0] != "_"}


def _built(source: str, names: dict[str, Any]) -> Callable[..., int]:
    names = dict(names)
    exec(compile(source, "<kernel>", "exec"), names)
    made: Callable[..., int] = names["kernel"]
    return made


def float_kernel(kind: type[Op]) -> Any:
    """Return the float kernel of an equation, None where it has none; never a remembered one."""
    step = kind.traced()
    assert step is not None
    floats, forms = _derive("floats"), _derive("forms")
    try:
        return floats.FloatKernel(kind, forms.Lowered(code_of(step)))
    except forms.NotLinearError:
        return None


def in_floats(part: Part) -> str | None:
    """Return what differs in the kernel of floats where it is said to be exact, or None."""
    op, rows, H = part.op, len(part.output), part.op.out.channels
    kernel = float_kernel(type(op))
    if kernel is None or not all(map(_derive("exactness").holds, part.bounds)):
        raise NotInFloatsError
    shifts = ("rshift", "floor_shift")
    for item in (item for item in op.code.instructions if item.kind in shifts):
        by = op.code.instructions[item.args[1]]
        if by.kind in ("parameter", "number"):
            k = op.parameters[by.value] if by.kind == "parameter" else by.value
            _check_shift(k, item.kind)
    if not kernel.is_exact(op, part.bounds):
        raise NotInFloatsError
    stride = -(-H // emulation.ROW) * emulation.ROW
    p = kernel.parameters(op, stride, emulation.ROW)
    padded = [np.zeros((rows, stride)) for _ in part.inputs]
    for values, to in zip(part.inputs, padded, strict=True):
        to[:, :H] = values
    states = np.zeros((rows, len(op.states), stride))
    for i, state in enumerate(op.states):
        states[:, i, :H] = part.before[state.name]
    out, kept = np.zeros(rows * stride), states.ravel().copy()
    flat = [values.ravel() for values in padded]
    room = len(op.states) * stride
    samples, steps = (rows, 1) if op.states else (1, rows)
    run = _built(kernel.source("kernel"), _FLOATS)
    clipped = run(flat[0], flat[-1], out, kept, p, samples, steps, H, stride, room)
    found = out.reshape(rows, stride)[:, :H].astype(np.int64)
    after = kept.reshape(states.shape)
    following = {state.name: after[:, i, :H] for i, state in enumerate(op.states)}
    return _saturated(part, found, following, clipped)


def _saturated(
    part: Part, out: np.ndarray, following: Mapping[str, np.ndarray], clipped: int
) -> str | None:
    """Saturate the output as the loop over operations does, and compare."""
    op, tally = part.op, Counter({part.op.state_tally: clipped})
    if op.saturates:
        limit = 1 << (op.out.bits - 1)
        kept = np.clip(out, -limit, limit - 1)
        tally[op.name] += int(np.count_nonzero(kept != out))
        out = kept
    return _difference(part, out, following, tally)


def _difference(
    part: Part, out: Any, following: Mapping[str, Any], tally: Counter[str]
) -> str | None:
    for name, expected in part.after.items():
        if not np.array_equal(following[name], expected):
            return name
    if not np.array_equal(np.broadcast_to(out, part.output.shape), part.output):
        return "the output"
    if any(tally[name] != count for name, count in part.clipped.items()):
        return "the saturations"
    return None


Check = Callable[[Part], str | None]
FORMS: dict[str, Check] = {
    "reference": reference,
    "integers": in_integers,
    "floats": in_floats,
}


def noticed(some: Iterable[Part], check: Check) -> str | None:
    """Return the first part that differs, and where, or None.

    Raises
    ------
    NotInFloatsError
        The check looks at floats, and no part is computed in floats.
    """
    looked = False
    for part in some:
        try:
            with np.errstate(all="ignore"):
                place = check(part)
        except NotInFloatsError:
            continue
        except (ArithmeticError, ShiftError, LookupError, ValueError, NeuroSSMError) as error:
            place = f"{type(error).__name__}: {error}"
        looked = True
        if place is not None:
            return f"{part.case}, {part.op.name}: {place}"
    if not looked:
        raise NotInFloatsError
    return None


__all__ = ["FORMS", "NotInFloatsError", "Part", "altered", "bounds", "noticed", "parts"]
