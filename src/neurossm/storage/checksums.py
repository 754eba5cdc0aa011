"""Checksums of HDF5 files: one over the bytes, at the file's end, and one over what they mean.

The first is compared before the HDF5 library sees a byte, since that library crashes on some
damaged files. It stands behind the end that HDF5 knows of, so that every HDF5 tool still opens the
file. The second, an attribute, survives tools that write the same content anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

CONTENT = "content_sha256"
"""The attribute of the root that holds the digest of everything else."""

_MARK = b"\nneurossm-sha256:"
_DIGITS = 64
_LENGTH = len(_MARK) + _DIGITS + 1
_CHUNK_BYTES = 1 << 20
_SLAB_ITEMS = 1 << 20


def append(path: Path) -> str:
    """Append the digest of a file's bytes to it and return it; OSError where the disk is full."""
    digest = _digest(path, path.stat().st_size)
    with open(path, "ab") as file:
        file.write(_MARK + digest.encode() + b"\n")
    return digest


def sealed_digest(path: Path) -> str | None:
    """Return the digest of a file's bytes where it is the one that the file carries.

    It is empty where they differ, and None where the file carries none.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    size = path.stat().st_size - _LENGTH
    if size < 0:
        return None
    with open(path, "rb") as file:
        file.seek(size)
        end = file.read(_LENGTH)
    if not (end.startswith(_MARK) and end.endswith(b"\n")):
        return None
    digest = _digest(path, size)
    return digest if digest.encode() == end[len(_MARK) : -1] else ""


def _digest(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK_BYTES))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def content_digest(file: h5py.File) -> str:
    """Return the SHA-256 of names, attributes, types, shapes and values, however they are stored.

    The order in which names were made counts as well: it is the order of a program's operations.
    """
    digest = hashlib.sha256()
    for part in _parts(file):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _parts(group: h5py.Group) -> Iterator[bytes]:
    for name in sorted(group.attrs):
        if name != CONTENT:
            yield from (b"attribute", name.encode(), *_value(group.attrs[name]))
    for name in group:
        yield name.encode()
        item = group[name]
        if isinstance(item, h5py.Group):
            yield b"group"
            yield from _parts(item)
            yield b"end"
        else:
            yield from _dataset(item)


def _dataset(dataset: h5py.Dataset) -> Iterator[bytes]:
    yield from (b"dataset", dataset.dtype.str.encode(), repr(dataset.shape).encode())
    for name in sorted(dataset.attrs):
        yield from (b"attribute", name.encode(), *_value(dataset.attrs[name]))
    if dataset.ndim == 0:
        yield from _value(dataset[()])
        return
    row_items = max(int(np.prod(dataset.shape[1:])), 1)
    rows = max(_SLAB_ITEMS // row_items, 1)
    for first in range(0, len(dataset), rows):
        yield from _value(dataset[first : first + rows])


def _value(value: Any) -> tuple[bytes, ...]:
    if isinstance(value, str):
        return b"text", value.encode(errors="surrogateescape")
    if isinstance(value, bytes):
        return b"text", value
    array = np.asarray(value)
    if array.dtype.kind == "O":
        return b"objects", repr(array.tolist()).encode()
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.dtype.str.encode(), repr(array.shape).encode(), little.tobytes()
