"""Records in HDF5 files: one group for each.

A record is a frozen dataclass of scalars, strings, tuples of strings, NumPy arrays and other such
dataclasses. Scalars become attributes, arrays become datasets, nested records become groups, so
that a file can be read with any HDF5 viewer. A field that is None is left out.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from neurossm.errors import FormatError
from neurossm.naming import layer_in_version_1

Record = TypeVar("Record")
_ARRAY_KINDS = {"b", "i", "u", "f", "c"}
_COMPRESS_FROM_BYTES = 4096
_hints: Callable[[Any], Mapping[str, Any]] = functools.cache(typing.get_type_hints)
"""Types of a dataclass's fields, which take long to look up."""


def subgroup(group: h5py.Group, name: str) -> h5py.Group:
    """Return a group's group of this name; FormatError if there is none."""
    found = group.get(name)
    if not isinstance(found, h5py.Group):
        raise FormatError(f"{_where(group)}group {name!r} is missing")
    return found


def write_json(group: h5py.Group, name: str, value: Any) -> None:
    """Write plain JSON values as a text."""
    write_text(group, name, json.dumps(value))


def write_text(group: h5py.Group, name: str, text: str) -> None:
    """Write a text as a dataset, which unlike an attribute may be long."""
    group.create_dataset(name, data=text, dtype=h5py.string_dtype())


def read_text(group: h5py.Group, name: str) -> str:
    """Read what `write_text` wrote; FormatError if it is not there."""
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != ():
        raise FormatError(f"{_where(group)}text {name!r} is missing")
    return str(dataset.asstr()[()])


def read_json_object(group: h5py.Group, name: str) -> dict[str, Any]:
    """Read what `write_json` wrote, which must be a JSON object."""
    value = json.loads(read_text(group, name))
    if not isinstance(value, dict):
        raise FormatError(f"{_where(group)}{name!r} is no JSON object")
    return value


def write_record(group: h5py.Group, record: Any) -> None:
    """Write the fields of a dataclass into a group."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is None:
            continue
        if isinstance(value, np.ndarray):
            large = value.nbytes >= _COMPRESS_FROM_BYTES
            group.create_dataset(field.name, data=value, compression="gzip" if large else None)
        elif dataclasses.is_dataclass(value):
            write_record(group.create_group(field.name), value)
        elif isinstance(value, tuple):
            group.attrs[field.name] = json.dumps(value)
        else:
            group.attrs[field.name] = value


def read_record(
    group: h5py.Group, kind: type[Record], missing: Mapping[str, Any] | None = None
) -> Record:
    """Read a dataclass of type `kind` from a group written by `write_record`.

    `missing` gives the values of fields that files of an older version lack.

    Raises
    ------
    FormatError
        A field is missing, unknown, or of the wrong type.
    InputError
        The dataclass refuses its fields.
    """
    hints = _hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = (set(group.attrs) | set(group)) - set(fields) - {"type"}
    if unknown:
        raise FormatError(f"{_where(group)}unknown field {sorted(unknown)[0]!r}")
    given = missing or {}
    return kind(
        **{
            name: given[name] if name in given else _read_field(group, name, hints[name])
            for name in fields
        }
    )


def write_named(group: h5py.Group, records: Iterable[Any], types: Mapping[str, type]) -> None:
    """Write one group per record, under its name and with its type's, in order."""
    names = {kind: name for name, kind in types.items()}
    for record in records:
        entry = group.create_group(record.name)
        entry.attrs["type"] = names.get(type(record), type(record).__name__)
        write_record(entry, record)


def read_named(group: h5py.Group, types: Mapping[str, type[Record]], what: str) -> list[Record]:
    """Read what `write_named` wrote; `what` says what a record is, for messages.

    Raises
    ------
    FormatError, InputError
        A record is of unknown type, or a part of it is missing, unknown, or makes no sense.
    """
    records = []
    old = group.file.attrs["version"] == 1
    for name in group:
        entry = subgroup(group, name)
        kind = types.get(str(entry.attrs.get("type")))
        if kind is None:
            raise FormatError(
                f"{what} {name!r} is of unknown type {entry.attrs.get('type')!r}; "
                f"known: {', '.join(types)}"
            )
        record = read_record(entry, kind, {"layer": layer_in_version_1(name)} if old else None)
        found = record.name  # type: ignore[attr-defined]
        if found != name:
            raise FormatError(f"{what} {name!r} says it is called {found!r}")
        records.append(record)
    return records


def _read_field(group: h5py.Group, name: str, hint: Any) -> Any:
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    if name not in group.attrs and name not in group:
        if type(None) in options:
            return None
        raise FormatError(f"{_where(group)}field {name!r} is missing")
    kind = next(option for option in options if option is not type(None))
    if dataclasses.is_dataclass(kind):
        return read_record(subgroup(group, name), typing.cast("type[Any]", kind))
    if typing.get_origin(kind) in _ARRAY_ORIGINS:
        return _read_array(group, name)
    return _read_scalar(group, name, kind)


# Before NumPy 2.5, NDArray[...] was short for ndarray[...]; now it is an alias with a name.
_ARRAY_ORIGINS = (np.ndarray, NDArray)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _read_array(group: h5py.Group, name: str) -> np.ndarray[Any, Any]:
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in _ARRAY_KINDS:
        raise FormatError(f"{_where(group)}field {name!r} is not a numeric array")
    array: np.ndarray[Any, Any] = np.asarray(dataset[()])
    return array


def _read_scalar(group: h5py.Group, name: str, kind: Any) -> Any:
    value = group.attrs.get(name)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        value.encode()  # h5py smuggles bytes that are not UTF-8 into text; this raises
    if typing.get_origin(kind) is tuple:
        return _texts(group, name, value)
    allowed = (float, int) if kind is float else (kind,)
    right = isinstance(value, allowed) and (kind is bool or not isinstance(value, bool))
    if not right or (isinstance(value, float) and not np.isfinite(value)):
        raise FormatError(
            f"{_where(group)}field {name!r} is {value!r}, expected one {kind.__name__}"
        )
    return kind(value)


def _texts(group: h5py.Group, name: str, value: Any) -> tuple[str, ...]:
    texts = json.loads(value) if isinstance(value, str) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise FormatError(f"{_where(group)}field {name!r} is {value!r}, expected a list of names")
    return tuple(texts)


def _where(group: h5py.Group) -> str:
    """Return the group's path inside the file as the beginning of a message."""
    inside = group.name.strip("/")
    return f"{inside}: " if inside else ""
