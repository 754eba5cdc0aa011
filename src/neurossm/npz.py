"""Read arrays of an .npz file: no code is run, and nothing unpacked beyond what it declares."""

from __future__ import annotations

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from neurossm.errors import FormatError, InputError
from neurossm.files import require_regular

__all__ = ["read_npz"]

_RATIO, _RATIO_FROM_BYTES = 200, 1 << 30
"""Above so many bytes, values that unpack to more than this many times their size are refused."""

_MEMBERS = 1_000
_NAMES_SHOWN = 8
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,  # encrypted
    NotImplementedError,  # another compression
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    KeyError,
    SyntaxError,  # a header that is no Python literal
    tokenize.TokenError,
    TypeError,
    OverflowError,
)
"""What the standard library and NumPy raise on archives that are damaged or of another kind."""


def read_npz(
    path: Path, needed: Iterable[str] = (), optional: Iterable[str] = ()
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """Return some arrays of an .npz file, and the names of all that it holds.

    Parameters
    ----------
    path
        The file.
    needed, optional
        Names of the arrays to read; those of `optional` may be missing.

    Raises
    ------
    InputError
        There is no such file, or it lacks a needed array.
    FormatError
        It is no .npz file, or truncated, encrypted, damaged, of Python objects, or unpacks to
        far more than it is.
    """
    require_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            names = tuple(members)
            if len(names) > _MEMBERS:
                raise FormatError(f"{path}: holds {len(names):,} arrays, more than {_MEMBERS:,}")
            for name in needed:
                if name not in members:
                    found = ", ".join(names[:_NAMES_SHOWN]) or "nothing"
                    more = ", ..." if len(names) > _NAMES_SHOWN else ""
                    raise InputError(f"{path}: holds {found[:400]}{more}; expected {name}")
            wanted = [*needed, *(name for name in optional if name in members)]
            return {name: _read(archive, members[name], path) for name in wanted}, names
    except MemoryError:
        raise InputError(f"{path}: its arrays do not fit into memory") from None
    except _DAMAGE as error:
        raise FormatError(f"{path}: not a readable .npz file: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            return "a single array (.npy); save it with numpy.savez(FILE, x=...)"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    """Read one array, having compared its declared size with that of its member."""
    where = f"{path}: {info.filename}"
    if info.flag_bits & 1:
        raise FormatError(f"{where}: is encrypted; save it without a password")
    size = info.file_size
    if size > _RATIO_FROM_BYTES and size > _RATIO * max(info.compress_size, 1):
        raise FormatError(
            f"{where}: {info.compress_size:,} bytes unpack to {size:,}, more than {_RATIO} times "
            "as many; save it uncompressed if that is meant"
        )
    with archive.open(info) as member:
        shape, fortran, dtype = _header(member, where)
        count = 1
        for length in shape:
            count *= int(length)
        if count < 0 or count * dtype.itemsize != size - member.tell():
            raise FormatError(f"{where}: damaged: holds other than the {shape} {dtype} it declares")
        values = np.frombuffer(bytearray(member.read()), dtype, count)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


def _header(member: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(member)  # type: ignore[no-untyped-call]
    if version == (1, 0):
        shape, fortran, dtype = npy.read_array_header_1_0(member)  # type: ignore[no-untyped-call]
    elif version == (2, 0):
        shape, fortran, dtype = npy.read_array_header_2_0(member)  # type: ignore[no-untyped-call]
    else:
        raise FormatError(f"{where}: of version {version} of the .npy format; 1.0 and 2.0 are read")
    if dtype.hasobject or dtype.kind not in "biufcSU":
        raise FormatError(f"{where}: holds {dtype} values, which are never read; expected numbers")
    return shape, fortran, dtype
