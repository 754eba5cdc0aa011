"""Sequences of operations in HDF5 groups."""

from __future__ import annotations

from collections.abc import Iterable

import h5py

from neurossm.errors import FormatError
from neurossm.naming import layer_in_version_1
from neurossm.program.operation import Op
from neurossm.program.operations import OP_TYPES
from neurossm.storage import read_record, subgroup, write_record


def write_ops(group: h5py.Group, ops: Iterable[Op]) -> None:
    """Write one group per operation, in order; `group` tracks the order of creation."""
    for op in ops:
        entry = group.create_group(op.name)
        entry.attrs["type"] = type(op).__name__
        write_record(entry, op)


def read_ops(group: h5py.Group) -> tuple[Op, ...]:
    """Read what `write_ops` wrote.

    Raises
    ------
    FormatError, InputError
        An operation is of unknown type, or a part of it is missing, unknown, or makes no sense.
    """
    ops = []
    old = group.file.attrs["version"] == 1
    for name in group:
        entry = subgroup(group, name)
        kind = OP_TYPES.get(str(entry.attrs.get("type")))
        if kind is None:
            raise FormatError(
                f"operation {name!r} is of unknown type {entry.attrs.get('type')!r}; "
                f"known: {', '.join(OP_TYPES)}"
            )
        op = read_record(entry, kind, {"layer": layer_in_version_1(name)} if old else None)
        if op.name != name:
            raise FormatError(f"operation {name!r} says it is called {op.name!r}")
        ops.append(op)
    return tuple(ops)
