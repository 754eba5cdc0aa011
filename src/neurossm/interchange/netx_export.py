"""Programs as layers of netx's files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import h5py
import numpy as np

from neurossm.errors import InputError
from neurossm.files import atomic_path
from neurossm.program import Op, Program
from neurossm.storage.netx import OURS, read_layers


def export_netx(
    program: Program,
    path: str | os.PathLike[str],
    *,
    output: str | None = None,
    behind: str | os.PathLike[str] | None = None,
) -> None:
    """Write a program as a layer of a netx file, alone or behind those of another file.

    netx has no layer whose integers are ours (its neurons truncate towards zero, its layers have
    no residual and no state space), so the program is one layer of the type "neurossm", which
    `NetxNetwork` reads and netx's own reader ignores.

    Parameters
    ----------
    program
        The program.
    path
        File to write.
    output
        The tensor to send at every step; the logits, at the end of each sample, by default.
    behind
        A netx file whose layers come first.

    Raises
    ------
    InputError
        The program has no such tensor, or reads another number of channels than the last layer of
        the file before it sends.
    """
    sent: Op = program.readout if output is None else _tensor(program, output)
    content = _content(program)
    before = [] if behind is None else read_layers(behind)
    if before:
        size = int(np.prod(before[-1].shape)) if before[-1].shape else None
        if size is not None and size != program.input.out.channels:
            raise InputError(
                f"{path}: the program reads {program.input.out.channels} channels, but layer "
                f"{before[-1].number} of {behind} sends {size}"
            )
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        layers = file.create_group("layer")
        if behind is not None:
            with h5py.File(behind, "r") as other:
                for name in other["layer"]:
                    other.copy(f"layer/{name}", layers)
        group = layers.create_group(str(len(before)))
        group.create_dataset("type", data=np.bytes_(OURS))
        group.create_dataset("shape", data=np.array([sent.out.channels]))
        group.create_dataset("program", data=np.frombuffer(content, np.uint8))
        if output is not None:
            group.create_dataset("output", data=np.bytes_(output))


def _tensor(program: Program, name: str) -> Op:
    found = [op for op in program.ops if op.name == name]
    if not found:
        raise InputError(f"output: the program has no tensor {name!r}")
    return found[0]


def _content(program: Program) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        program.save(Path(folder) / "program.h5")
        return (Path(folder) / "program.h5").read_bytes()
