"""The integer program: operations in order, what it was made from, and its file."""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import h5py
from numpy.typing import ArrayLike

from neurossm.arrays import IntArray, same
from neurossm.errors import FormatError, InputError
from neurossm.files import as_path
from neurossm.graph.graph import Graph, read_graph, write_graph
from neurossm.program import certificate_cache
from neurossm.program.certificate import hold
from neurossm.program.digest import add
from neurossm.program.operation import Op
from neurossm.program.operations import OP_TYPES
from neurossm.program.readout import Readout
from neurossm.program.recording import Recording
from neurossm.program.source import Input
from neurossm.storage import (
    read_file,
    read_json_object,
    read_named,
    read_record,
    read_text,
    subgroup,
    write_file,
    write_json,
    write_named,
    write_record,
    write_text,
)

if TYPE_CHECKING:
    from neurossm.c.source import CSource
    from neurossm.engine.cpu.session import Session
    from neurossm.lava.network import LavaNetwork
    from neurossm.lava.processes.network.process import NetworkProcess
    from neurossm.lava.schedule import Schedule
    from neurossm.program.running import Run
    from neurossm.progress import Progress

SCHEMA = "neurossm-program"
VERSION = 2


@dataclass(frozen=True)
class Approximation:
    """A named replacement of the float model's mathematics, and its largest error."""

    name: str
    description: str
    max_error: float


@dataclass(frozen=True, eq=False)
class Program:
    """An integer network as a sequence of operations; an operation reads only tensors before it.

    Parameters
    ----------
    ops
        The first is the only `Input`, the last the only `Readout`.
    graph
        The approximated float graph the program was quantised from: the second rung of parity.
    target
        Name of the hardware profile it was compiled for.
    approximations
        What was replaced on the way from the trained model to `graph`.
    provenance
        Plain JSON values: the source's sha256, options, versions.
    profile
        The text of the hardware profile it was compiled for; None in older files. See
        `neurossm.hw_profiles.profile_of`.
    """

    ops: tuple[Op, ...]
    graph: Graph
    target: str
    approximations: tuple[Approximation, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    profile: str | None = None

    def __post_init__(self) -> None:
        """Check names, order and channels, and that what is claimed of the tensors holds."""
        if len(self.ops) < 2 or not isinstance(self.ops[0], Input):
            raise FormatError("program: the first operation must be the Input")
        if not isinstance(self.ops[-1], Readout):
            raise FormatError("program: the last operation must be the Readout")
        if any(isinstance(op, (Input, Readout)) for op in self.ops[1:-1]):
            raise FormatError("program: more than one Input or Readout")
        known: dict[str, Op] = {}
        for op in self.ops:
            if op.name in known:
                raise FormatError(f"program: two operations are called {op.name!r}")
            for name, wanted in zip(op.inputs, op.input_channels(), strict=True):
                if name not in known:
                    raise FormatError(f"{op.name}: reads {name!r}, which does not come before it")
                channels = known[name].out.channels
                if wanted not in (None, channels):
                    raise FormatError(
                        f"{op.name}: reads {channels} channels from {name!r}, expected {wanted}"
                    )
            op.check_sources(tuple(known[name] for name in op.inputs))
            known[op.name] = op
        for op in self.ops:
            for state in op.states:
                if op.state_name(state) in known:
                    raise FormatError(
                        f"program: {op.state_name(state)!r} is an operation and a state of another"
                    )
        object.__setattr__(self, "ops", hold(self.ops))

    @property
    def input(self) -> Input:
        """The input operation."""
        op = self.ops[0]
        assert isinstance(op, Input)
        return op

    @property
    def readout(self) -> Readout:
        """The readout operation."""
        op = self.ops[-1]
        assert isinstance(op, Readout)
        return op

    @property
    def max_steps(self) -> int:
        """Longest sample the readout's sum is proved for."""
        return self.readout.max_steps

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its operations: two programs with the same one give the same integers."""
        digest = hashlib.sha256()
        for op in self.ops:
            add(digest, op)
        return digest.hexdigest()

    @cached_property
    def _by_name(self) -> Mapping[str, Op]:
        return {op.name: op for op in self.ops}

    @cached_property
    def _readers(self) -> Mapping[str, tuple[Op, ...]]:
        return {name: tuple(op for op in self.ops if name in op.inputs) for name in self._by_name}

    @cached_property
    def recordings(self) -> Mapping[str, Recording]:
        """All tensors and states that can be recorded, by name: tensors first, then states."""
        made = [Recording(op) for op in self.ops if not isinstance(op, Readout)]
        made += [Recording(op, state) for op in self.ops for state in op.states]
        return {one.name: one for one in made}

    def __getitem__(self, name: str) -> Op:
        """Return the operation of this name; KeyError if there is none."""
        return self._by_name[name]

    def readers(self, name: str) -> tuple[Op, ...]:
        """Return the operations that read a tensor."""
        return self._readers.get(name, ())

    def sources(self, op: Op) -> tuple[Op, ...]:
        """Return the operations that an operation reads."""
        return tuple(self._by_name[name] for name in op.inputs)

    def with_ops(self, ops: Iterable[Op]) -> Program:
        """Return a program of other operations, all else equal."""
        return replace(self, ops=tuple(ops))

    def encode(self, data: ArrayLike, where: str = "data", *, widen: bool = True) -> IntArray:
        """Turn data into integers (B, L, channels); InputError where they do not suit.

        They are int64; unless `widen`, pixels stay uint8.
        """
        x = self.input.encode(data, where, widen=widen)
        if x.shape[1] > self.max_steps:
            raise InputError(
                f"{where}: {x.shape[1]} steps are longer than max_steps = {self.max_steps}, which "
                "the readout's sum is proved for; compile with a larger --max-steps"
            )
        return x

    def run(
        self,
        data: ArrayLike,
        engine: str = "fast",
        record: str | Iterable[str] = (),
        progress: Progress | None = None,
        *,
        device: str | None = None,
        threads: int | None = None,
        count: str | Iterable[str] = (),
        lengths: ArrayLike | None = None,
    ) -> Run:
        """Run samples on an engine; see `neurossm.registry.run`."""
        from neurossm.registry import run

        return run(
            self,
            data,
            engine=engine,
            record=record,
            progress=progress,
            count=count,
            threads=threads,
            device=device,
            lengths=lengths,
        )

    def session(
        self, streams: int | None = None, record: Iterable[str] = (), engine: str = "fast"
    ) -> Session:
        """Begin to run the program step by step; see `neurossm.engine.cpu.Session`.

        The engines "c" and "c-vector" have sessions too.
        """
        from neurossm.registry import session_type

        session: Session = session_type(engine)(self, streams, record)
        return session

    def emit(
        self,
        folder: str | Path,
        language: str = "c",
        *,
        style: str | None = None,
        name: str = "network",
        data: ArrayLike | None = None,
    ) -> CSource:
        """Write the program in another language into a folder; see `neurossm.c.emit`."""
        from neurossm.registry import emit

        written: CSource = emit(self, folder, language=language, style=style, name=name, data=data)
        return written

    @overload
    def to_lava(
        self,
        data: None = None,
        *,
        output: str | None = None,
        schedule: Schedule | None = None,
        name: str | None = None,
    ) -> NetworkProcess: ...

    @overload
    def to_lava(
        self,
        data: ArrayLike,
        traces: Mapping[str, str | Path] | None = None,
        lengths: ArrayLike | None = None,
    ) -> LavaNetwork: ...

    def to_lava(
        self,
        data: ArrayLike | None = None,
        traces: Mapping[str, str | Path] | None = None,
        lengths: ArrayLike | None = None,
        *,
        output: str | None = None,
        schedule: Schedule | None = None,
        name: str | None = None,
    ) -> NetworkProcess | LavaNetwork:
        """Make the program's Lava processes in this Python process.

        Without data, one process with ports, for networks of your own: see
        `neurossm.lava.as_process`, which explains `output`, `schedule` and `name`. With data,
        processes that play them: see `neurossm.lava.build`.

        Raises
        ------
        InputError
            Options of the one beside those of the other; and as said there.
        """
        from neurossm.registry import engines

        lava: Any = engines()["lava"].module("cpu")
        if data is None:
            if traces is not None or lengths is not None:
                raise InputError("to_lava: traces and lengths are of data, and none were given")
            process: NetworkProcess = lava.as_process(
                self, output=output, schedule=schedule, name=name
            )
            return process
        if (output, schedule, name) != (None, None, None):
            raise InputError(
                "to_lava: output, schedule and name are of a process without data; leave them out"
            )
        network: LavaNetwork = lava.build(self, data, traces, lengths)
        return network

    def same_as(self, other: Program) -> bool:
        """Tell whether both programs are equal in every operation and every word about them."""
        return (
            same(self.ops, other.ops)
            and self.graph.same_as(other.graph)
            and (self.target, self.approximations, self.provenance, self.profile)
            == (other.target, other.approximations, other.provenance, other.profile)
        )

    def save(self, path: str | Path) -> None:
        """Write the program to an HDF5 file of schema `neurossm-program`, whole or not at all."""
        write_file(as_path(path, "program"), SCHEMA, VERSION, lambda file: _write(file, self))
        certificate_cache.remember(self.ops)

    @staticmethod
    def load(path: str | Path) -> Program:
        """Read a program written by `save`; InputError or FormatError say what is wrong.

        A file that claims more of its tensors than their integers prove is refused.
        """
        return read_file(as_path(path, "program"), SCHEMA, VERSION, _read, "neurossm compile")


def as_program(program: object) -> Program:
    """Return a program, or the one in a file whose path it is; InputError for anything else."""
    if isinstance(program, Program):
        return program
    if isinstance(program, (str, os.PathLike)):
        return Program.load(as_path(program, "program"))
    raise InputError(
        f"program: expected a Program or the path of its file, got a {type(program).__name__}"
    )


def _write(file: h5py.File, program: Program) -> None:
    file.attrs["target"] = program.target
    write_json(file, "provenance", program.provenance)
    if program.profile is not None:
        write_text(file, "profile", program.profile)
    write_named(file.create_group("ops", track_order=True), program.ops, OP_TYPES)
    approximations = file.create_group("approximations", track_order=True)
    for approximation in program.approximations:
        write_record(approximations.create_group(approximation.name), approximation)
    write_graph(file.create_group("graph"), program.graph)


def _target(file: h5py.File) -> str:
    target = file.attrs.get("target")
    if not isinstance(target, str) or not target.isprintable():
        raise FormatError(f"target is {target!r:.80}, expected the name of a profile")
    return target


def _read(file: h5py.File) -> Program:
    approximations = subgroup(file, "approximations")
    ops = tuple(read_named(subgroup(file, "ops"), OP_TYPES, "operation"))
    known = certificate_cache.known(ops)
    program = Program(
        ops=certificate_cache.vouched(ops) if known else ops,
        graph=read_graph(subgroup(file, "graph")),
        target=_target(file),
        approximations=tuple(
            read_record(subgroup(approximations, name), Approximation) for name in approximations
        ),
        provenance=read_json_object(file, "provenance"),
        profile=read_text(file, "profile") if "profile" in file else None,
    )
    if not known and all(map(operator.is_, program.ops, ops)):  # none was widened
        certificate_cache.remember(ops)
    return program
