"""Writes equations as the plan of a chain, every value in 32 bits where these suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from neurossm.arrays import IntArray
from neurossm.engine.gpu import chain as c
from neurossm.engine.gpu.chain import Chain, Clip, Entry
from neurossm.errors import LimitError
from neurossm.program import Interval, Op
from neurossm.program.arithmetic import EXACT_BITS, limits, shift_parts
from neurossm.program.bounds import Reach
from neurossm.program.code import Instruction

_KINDS = {
    "add": c.ADD,
    "sub": c.SUB,
    "mul": c.MUL,
    "floor_shift": c.RIGHT,
    "minimum": c.MIN,
    "maximum": c.MAX,
    "greater": c.GREATER,
    "select": c.SELECT,
    "bit_length": c.BIT_LENGTH,
    "total": c.TOTAL,
    "largest": c.LARGEST,
}
_COMPARED = (c.RIGHT, c.MIN, c.MAX, c.GREATER, c.BIT_LENGTH, c.LARGEST)
"""Primitives whose result's low bits depend on all bits of what they are computed from."""
_SHIFTS = (c.LEFT, c.RIGHT)
_ALIGNED = 16
"""Parameters begin at multiples of this, so that they are loaded in pairs or fours."""


class _Value(NamedTuple):
    number: int
    reach: Reach
    wide: bool


@dataclass
class _Pool:
    """Parameters in one array, each list of them once."""

    numbers: list[int] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)

    def place(self, values: IntArray) -> int:
        """Return where these values begin."""
        key = values.tobytes()
        if key not in self.places:
            if values.size > 1:
                self.numbers += [0] * (-len(self.numbers) % _ALIGNED)
            self.places[key] = len(self.numbers)
            self.numbers += values.tolist()
        return self.places[key]

    def tensor(self, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return all of them."""
        return torch.tensor(self.numbers or [0], dtype=dtype, device=device)


class ChainWriter:
    """Writes operations of the same number of channels, in order."""

    def __init__(self, intervals: Mapping[str, Interval], counter: Callable[[str], int]) -> None:
        """Write for these bounds of tensors, and numbers of counters."""
        self.intervals, self.counter = intervals, counter
        self.values: dict[str, _Value] = {}
        self.following: list[int] = []
        self._entries = [Entry(c.NUMBER)]
        self._known: dict[Entry, int] = {self._entries[0]: 0}
        self._clips: list[Clip] = []
        self._pools = _Pool(), _Pool()

    def read(self, names: Iterable[str]) -> None:
        """Note the inputs of the chain; before any operation."""
        for which, name in enumerate(names):
            x = self.intervals[name]
            self.values[name] = self.emit(c.INPUT, reach=Reach(x.low, x.high), at=which)

    def write(self, op: Op) -> None:
        """Append an operation whose inputs are known."""
        done = _Translation(self, op).run()
        result = done[op.code.result]
        if op.saturates and not op.out.proved:
            result = self.clip(result, op.out.bits, op.name)
        self.values[op.name] = result
        self.following += [done[number].number for number in op.code.states.values()]

    def chain(
        self,
        outputs: tuple[str, ...],
        channels: int,
        dtypes: Mapping[str, torch.dtype],
        device: torch.device,
    ) -> Chain:
        """Return the chain that stores these outputs."""
        entries, new = self._entries, list(range(len(self._entries)))
        if self.following:
            entries, new = c.leaves_first(entries)
        narrow, wide = self._pools
        return Chain(
            plan=tuple(entries),
            keep=tuple(new[self.values[name].number] for name in outputs),
            following=tuple(new[number] for number in self.following),
            clips=tuple(Clip(new[k.before], new[k.after], k.counter) for k in self._clips),
            channels=channels,
            narrow=narrow.tensor(torch.int32, device),
            wide=wide.tensor(torch.int64, device),
            dtypes=tuple(dtypes[name] for name in outputs),
        )

    def emit(self, kind: int, *args: _Value, reach: Reach, at: int = 0) -> _Value:
        """Append a primitive or a leaf, unless it is there already."""
        wide = not reach.within(32)
        work = wide or (kind in _COMPARED and any(arg.wide for arg in args))
        if kind in _SHIFTS:
            work = work or int(args[1].reach.high.max()) > 31
        x, y, z = [*(arg.number for arg in args), 0, 0, 0][:3]
        entry = Entry(kind, x, y, z, at, int(work), int(wide))
        if entry not in self._known:
            self._known[entry] = len(self._entries)
            self._entries.append(entry)
        return _Value(self._known[entry], reach, wide)

    def number(self, value: int) -> _Value:
        """Return a constant, which is compiled into the kernel."""
        return self.emit(c.NUMBER, reach=Reach(np.array(value), np.array(value)), at=value)

    def parameter(self, values: IntArray) -> _Value:
        """Return a parameter: one number per channel, or one for all."""
        reach = Reach(values, values)
        shared = values.min() == values.max()
        kind = c.SCALAR if shared else c.ROW
        return self.emit(kind, reach=reach, at=self.place(values.ravel()[:1] if shared else values))

    def place(self, values: IntArray) -> int:
        """Return where parameters begin among those of their width."""
        return self._pools[not Reach(values, values).within(32)].place(values)

    def clip(self, value: _Value, bits: int, name: str) -> _Value:
        """Saturate to so many bits, and count what that changes."""
        low, high = limits(bits)
        most = int(max(value.reach.high.max(), low))
        raised = self.emit(c.MAX, value, self.number(low), reach=value.reach.clipped(low, most))
        kept = self.emit(c.MIN, raised, self.number(high), reach=value.reach.clipped(low, high))
        self._clips.append(Clip(value.number, kept.number, self.counter(name)))
        return kept


class _Translation:
    """One operation on its way into a chain."""

    def __init__(self, writer: ChainWriter, op: Op) -> None:
        self.writer, self.op = writer, op
        inputs = [writer.intervals[name] for name in op.inputs]
        self.reaches = _reaches(op, inputs, writer.intervals[op.name])
        self.saturating = not op.states_proved(*inputs)
        self.done: dict[int, _Value] = {}

    def run(self) -> dict[int, _Value]:
        """Write all that varies, and the parameters it needs; return the values by number."""
        for number, item in enumerate(self.op.code.instructions):
            if item.kind not in ("parameter", "number"):
                self.done[number] = self._write(number, item)
        for number in (self.op.code.result, *self.op.code.states.values()):
            self._value(number)
        return self.done

    def _write(self, number: int, item: Instruction) -> _Value:
        reach = self.reaches[number]
        if item.kind == "input":
            return self.writer.values[self.op.inputs[item.value]]
        if item.kind == "state":
            names = [state.name for state in self.op.states]
            return self.writer.emit(c.STATE, reach=reach, at=names.index(item.name))
        if item.kind == "rshift":
            return self._rshift(self._value(item.args[0]), item.args[1], reach)
        if item.kind == "lookup":
            return self._lookup(self._fixed(item.args[0]), self._value(item.args[1]), reach)
        args = [self._value(arg) for arg in item.args]
        if item.kind == "saturated":
            bits = int(args[1].reach.low)
            name = self.op.state_tally
            return self.writer.clip(args[0], bits, name) if self.saturating else args[0]
        return self.writer.emit(_KINDS[item.kind], *args, reach=reach)

    def _value(self, number: int) -> _Value:
        """Return a value; of a parameter, when something needs it."""
        if number not in self.done:
            item = self.op.code.instructions[number]
            self.done[number] = (
                self.writer.number(item.value)
                if item.kind == "number"
                else self.writer.parameter(self._fixed(number))
            )
        return self.done[number]

    def _fixed(self, number: int) -> IntArray:
        """Return a parameter."""
        item = self.op.code.instructions[number]
        return np.asarray(self.op.parameters[item.value], np.int64)

    def _rshift(self, p: _Value, by: int, reach: Reach) -> _Value:
        item = self.op.code.instructions[by]
        if item.kind == "number":
            parts = [np.asarray(part) for part in shift_parts(item.value)]
            return self._shifted(p, parts, lambda part: self.writer.number(int(part)), reach)
        if item.kind == "parameter":
            parts = list(shift_parts(self._fixed(by)))
            return self._shifted(p, parts, self.writer.parameter, reach)
        return self._shifted_by(p, self._value(by), reach)

    def _shifted(
        self, p: _Value, parts: list[IntArray], made: Callable[[Any], _Value], reach: Reach
    ) -> _Value:
        """Compute `((p + half) >> right) << left`, without the parts that are 0."""
        half, right, left = parts
        low, high = p.reach.low, p.reach.high
        if right.any():
            low, high = low + half, high + half
            p = self.writer.emit(c.ADD, p, made(half), reach=Reach(low, high))
            low, high = low >> right, high >> right
            kept = Reach(low, high) if left.any() else reach
            p = self.writer.emit(c.RIGHT, p, made(right), reach=kept)
        if left.any():
            p = self.writer.emit(c.LEFT, p, made(left), reach=reach)
        return p

    def _shifted_by(self, p: _Value, k: _Value, reach: Reach) -> _Value:
        """Do the same by a computed amount, where it can go right and where it can go left."""
        emit, zero, one = self.writer.emit, self.writer.number(0), self.writer.number(1)
        least, most = (int(end) for end in (k.reach.low.min(), k.reach.high.max()))
        if most > 0:
            most = min(most, EXACT_BITS)
            right = k if least >= 0 else emit(c.MAX, k, zero, reach=k.reach.clipped(0, most))
            power = emit(c.LEFT, one, right, reach=_between(1, 1 << most))
            half = emit(c.RIGHT, power, one, reach=_between(0, 1 << (most - 1)))
            widest = Reach(p.reach.low, p.reach.high + (1 << (most - 1)))
            p = emit(c.ADD, p, half, reach=widest)
            p = emit(c.RIGHT, p, right, reach=reach if least >= 0 else _with_0(widest))
        if least < 0:
            left = emit(c.SUB, zero, k, reach=Reach(-k.reach.high, -k.reach.low))
            if most > 0:
                left = emit(c.MAX, left, zero, reach=left.reach.clipped(0, EXACT_BITS))
            p = emit(c.LEFT, p, left, reach=reach)
        return p

    def _lookup(self, table: IntArray, index: _Value, reach: Reach) -> _Value:
        """Load an entry; of entries at equal distances, compute it."""
        writer = self.writer
        steps = np.diff(table)
        if steps.size and (steps == steps[0]).all():
            step, origin = writer.parameter(steps[:1]), writer.parameter(table[:1])
            away = Reach(reach.low - table[0], reach.high - table[0])
            moved = writer.emit(c.MUL, index, step, reach=away)
            return writer.emit(c.ADD, moved, origin, reach=reach)
        entries = _between(table.min(), table.max())
        loaded = writer.emit(c.LOOKUP, index, reach=entries, at=writer.place(table))
        return loaded._replace(reach=reach)


def _between(low: int, high: int) -> Reach:
    return Reach(np.array(low), np.array(high))


def _with_0(reach: Reach) -> Reach:
    """Return the least interval that contains this one and 0."""
    return _between(min(int(reach.low.min()), 0), max(int(reach.high.max()), 0))


def _reaches(op: Op, inputs: list[Interval], out: Interval) -> list[Reach]:
    """Return what every instruction can be; of a result that is proved, what is proved of it."""
    try:
        found = list(op.reaches(*inputs))
    except LimitError:  # an operation's own proof sees more: 62 bits hold everything
        most = 1 << EXACT_BITS
        found = [_between(-most, most) for _ in op.code.instructions]
    if op.out.proved:
        found[op.code.result] = Reach(out.low, out.high)
    return found
