"""HDF5 files of this package: schema and version first, then one group per record.

A record is a frozen dataclass of scalars, strings, tuples of strings, NumPy arrays and other such
dataclasses. Scalars become attributes, arrays become datasets, nested records become groups, so
that a file can be read with any HDF5 viewer.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from neurossm.errors import FormatError, InputError
from neurossm.files import atomic_path

Record = TypeVar("Record")
_ARRAY_KINDS = {"b", "i", "u", "f", "c"}
_COMPRESS_FROM_BYTES = 4096


def write_file(path: Path, schema: str, version: int, fill: Callable[[h5py.File], None]) -> None:
    """Write an HDF5 file whole or not at all; `fill` writes what follows schema and version."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        file.attrs["schema"] = schema
        file.attrs["version"] = version
        fill(file)


def schema_of(path: Path) -> str | None:
    """Return the schema name an HDF5 file carries; None for anything that is not such a file."""
    try:
        with h5py.File(path, "r") as file:
            schema = file.attrs.get("schema")
    except OSError:
        return None
    return schema if isinstance(schema, str) else None


@contextmanager
def open_file(path: Path, schema: str, version: int) -> Iterator[h5py.File]:
    """Open a file for reading after checking that it is what the caller expects.

    Raises
    ------
    InputError
        The file does not exist.
    FormatError
        It is not HDF5, truncated, foreign, of another schema, newer than this package, or
        lacks a part.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{path}: not a readable HDF5 file (foreign, damaged or truncated); "
            f"expected a file of schema {schema!r}"
        ) from error
    with file:
        _check_header(path, file, schema, version)
        try:
            yield file
        except (KeyError, OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise FormatError(f"{path}: damaged {schema} file: {_one_line(error)}") from error


def _check_header(path: Path, file: h5py.File, schema: str, version: int) -> None:
    found = file.attrs.get("schema")
    if not isinstance(found, str):
        raise FormatError(f"{path}: foreign HDF5 file without a 'schema'; expected {schema!r}")
    if found != schema:
        raise FormatError(f"{path}: holds a {found!r}, expected a {schema!r}")
    number = file.attrs.get("version")
    if not isinstance(number, (int, np.integer)):
        raise FormatError(f"{path}: {schema} file without a version number")
    if number > version:
        raise FormatError(
            f"{path}: {schema} version {number} is newer than version {version}, the newest this "
            "neurossm reads; upgrade neurossm or write the file again with this one"
        )
    if number < 1:
        raise FormatError(f"{path}: {schema} version {number} is not one neurossm ever wrote")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


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
        elif isinstance(value, (tuple, dict)):
            group.attrs[field.name] = json.dumps(value)
        else:
            group.attrs[field.name] = value


def read_record(group: h5py.Group, kind: type[Record]) -> Record:
    """Read a dataclass of type `kind` from a group written by `write_record`.

    Raises
    ------
    FormatError
        A field is missing, unknown, or of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = (set(group.attrs) | set(group)) - set(fields) - {"type"}
    if unknown:
        raise FormatError(f"{_where(group)}: unknown field {sorted(unknown)[0]!r}")
    return kind(**{name: _read_field(group, name, hints[name]) for name in fields})


def _read_field(group: h5py.Group, name: str, hint: Any) -> Any:
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    if name not in group.attrs and name not in group:
        if type(None) in options:
            return None
        raise FormatError(f"{_where(group)}: field {name!r} is missing")
    kind = next(option for option in options if option is not type(None))
    if dataclasses.is_dataclass(kind):
        return read_record(group[name], typing.cast("type[Any]", kind))
    if name in group:
        return _read_array(group, name)
    return _read_scalar(group, name, kind)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _read_array(group: h5py.Group, name: str) -> np.ndarray:
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in _ARRAY_KINDS:
        raise FormatError(f"{_where(group)}: field {name!r} is not a numeric array")
    array: np.ndarray = dataset[()]
    return array


def _read_scalar(group: h5py.Group, name: str, kind: Any) -> Any:
    value = group.attrs[name]
    origin = typing.get_origin(kind) or kind
    if origin is tuple:
        return tuple(json.loads(value))
    if origin is dict:
        return dict(json.loads(value))
    if isinstance(value, np.generic):
        value = value.item()
    allowed = {float: (float, int), int: (int,), str: (str,), bool: (bool,)}.get(origin, (str,))
    if not isinstance(value, allowed) or (isinstance(value, bool) and origin is not bool):
        raise FormatError(
            f"{_where(group)}: field {name!r} is {value!r}, expected {getattr(origin, '__name__', origin)}"
        )
    return float(value) if origin is float else value


def _where(group: h5py.Group) -> str:
    return f"{group.file.filename}: {group.name.lstrip('/')}"
