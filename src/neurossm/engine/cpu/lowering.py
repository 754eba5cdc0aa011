"""Where tensors are while a program is lowered, and the instructions that are appended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neurossm.derive import exactness
from neurossm.engine.cpu.kernels import kinds
from neurossm.engine.cpu.packing import packing_of
from neurossm.engine.cpu.tape import TapeBuilder, Tensor
from neurossm.program import Affine, Dense, Interval, Op, Program


class Lowering:
    """Where the tensors are while a program is lowered, and who still reads them."""

    def __init__(self, program: Program, record: Iterable[str], count: Iterable[str]) -> None:
        """Count the readers of each tensor; recorded ones are read to the end."""
        self.program = program
        self.watched = frozenset((*record, *count))
        self.waiting: dict[str, Dense] = {}
        self.builder = TapeBuilder()
        self.record = frozenset(record)
        self.tensors: dict[str, Tensor] = {}
        self.intervals: dict[str, Interval] = {}
        self.sums: dict[str, tuple[int, int]] = {}
        self.readers = {op.name: len(program.readers(op.name)) for op in program.ops}

    def interval(self, op: Op, index: int = 0) -> Interval:
        """Return the bounds of an input."""
        return self.intervals[op.inputs[index]]

    def floats_hold(self, op: Op) -> bool:
        """Tell whether all inputs are held as floats."""
        return all(self.tensors[name].is_float for name in op.inputs)

    def waits(self, op: Op) -> bool:
        """Put a Dense off whose sum only an Affine reads: one instruction can do both."""
        readers = self.program.readers(op.name)
        if not isinstance(op, Dense) or op.name in self.watched or len(readers) != 1:
            return False
        affine, x = readers[0], self.interval(op)
        sums = op.out.interval if op.out.proved else op.bounds(x)
        packing = packing_of(op.weight, x) if self.floats_hold(op) else None
        if packing is None or not isinstance(affine, Affine):
            return False
        extra = packing.offset * exactness.exact(op.weight.sum(axis=1))
        if not exactness.affine_is_exact(affine, sums, extra):
            return False
        self.waiting[op.name] = op
        self.intervals[op.name] = sums
        return True

    def emit(
        self,
        op: Op,
        kind: int,
        own: Mapping[str, int] | None = None,
        *,
        exact: bool = False,
        then: Op | None = None,
    ) -> None:
        """Append the instruction of an operation, with columns of its own.

        With `exact`, it works on integers.
        With `then`, the instruction does that operation too, and its output is what is kept.
        """
        inputs = op.inputs
        readers = [self.tensors[name] for name in inputs]
        if exact:
            readers = [self._as_integers(tensor) for tensor in readers]
        op = then or op
        out = Tensor(self.builder.allocate(op.out.channels), op.out.channels, not exact)
        columns = {"STATE_TALLY": -1, **(own or {})}
        if readers:
            columns |= {"A": readers[0].offset, "A_STRIDE": readers[0].stride}
            columns |= {"INPUTS": readers[0].channels, "B": readers[-1].offset}
        columns |= {"OUT": out.offset, "STRIDE": out.stride, "CHANNELS": out.channels}

        if not op.out.proved and op.saturates:
            columns |= {"BITS": op.out.bits, "TALLY": self.builder.tally(op.name)}
        self.builder.emit(kind, **columns)
        sources = (self.intervals[name] for name in op.inputs)
        self.intervals[op.name] = exactness.interval_of(op, *sources)
        if exact:
            for tensor, name in zip(readers, inputs, strict=True):
                if tensor is not self.tensors[name]:
                    self.builder.release(tensor.offset, tensor.channels)
            if exactness.holds(self.intervals[op.name]):
                out = self._as_floats(out)
        self.tensors[op.name] = out

    def total(self, key: str, name: str, kind: int, exact_kind: int) -> None:
        """Append an instruction that reduces a tensor over time."""
        tensor = self.tensors[name]
        state = self.builder.state(tensor.channels)
        self.builder.emit(
            kind if tensor.is_float else exact_kind,
            A=tensor.offset,
            STRIDE=tensor.stride,
            CHANNELS=tensor.channels,
            STATE=state,
        )
        self.sums[key] = (state, tensor.channels)

    def state_columns(self, op: Op, words: int) -> dict[str, int]:
        """Return room for states of so many words of a sample, and where clipped ones count."""
        if not op.states:
            return {}
        tally = self.builder.tally(op.state_tally)
        return {"STATE": self.builder.state(words), "STATE_TALLY": tally}

    def _as_integers(self, tensor: Tensor) -> Tensor:
        if not tensor.is_float:
            return tensor
        copy = Tensor(self.builder.allocate(tensor.channels), tensor.channels, is_float=False)
        self.builder.emit(kinds.TO_INT, A=tensor.offset, OUT=copy.offset, STRIDE=copy.stride)
        return copy

    def _as_floats(self, tensor: Tensor) -> Tensor:
        at = tensor.offset
        self.builder.emit(kinds.TO_FLOAT, A=at, OUT=at, STRIDE=tensor.stride)
        return Tensor(at, tensor.channels, is_float=True)

    def forget_after(self, op: Op) -> None:
        """Release the inputs that nobody reads any more, and an output that nobody reads."""
        for name in set(op.inputs):
            self.readers[name] -= 1
        for name in {*op.inputs, op.name}:
            tensor = self.tensors.get(name)
            if tensor is not None and self.readers[name] == 0 and name not in self.record:
                self.builder.release(tensor.offset, tensor.channels)
