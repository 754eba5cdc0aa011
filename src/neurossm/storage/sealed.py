"""Write an HDF5 file whole, with its checksums, or not at all; open none before it was checked."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import h5py
import numpy as np

from neurossm.errors import FormatError, InputError, MissingDependencyError, NeuroSSMError
from neurossm.files import atomic_path, require_regular
from neurossm.storage import checksums, known, vetting

if TYPE_CHECKING:
    from typing_extensions import Buffer

Content = TypeVar("Content")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DAMAGE = (
    KeyError,
    OSError,
    ValueError,  # also bad JSON and bad UTF-8
    TypeError,
    RuntimeError,
    OverflowError,
)
"""What h5py and the conversions raise on a file whose bytes or parts are wrong."""

_log = logging.getLogger(__name__)


def write_file(path: Path, schema: str, version: int, fill: Callable[[h5py.File], None]) -> None:
    """Write an HDF5 file whole or not at all; `fill` writes what follows schema and version.

    Raises
    ------
    InputError
        The file cannot be written, or the disk is full.
    """
    with atomic_path(path) as temporary:
        with open(temporary, "w+b", buffering=0) as raw:
            kept = _Kept(raw)
            try:
                with h5py.File(kept, "w", track_order=True) as file:
                    file.attrs["schema"] = schema
                    file.attrs["version"] = version
                    fill(file)
                    file.attrs[checksums.CONTENT] = checksums.content_digest(file)
            finally:
                if kept.error is not None:  # what came of it later does not count
                    reason = kept.error.strerror or kept.error
                    raise InputError(f"{path}: cannot be written: {reason}") from None
        digest = checksums.append(temporary)
    known.remember(digest)


def seal(path: Path) -> None:
    """Give an HDF5 file that was changed on purpose the checksums of what it holds now."""
    with h5py.File(path, "r+") as file:
        file.attrs[checksums.CONTENT] = checksums.content_digest(file)
    known.remember(checksums.append(path))


class _Kept(io.RawIOBase):
    """A file whose errors are kept for later: the HDF5 library crashes on a disk that is full.

    After the first error the file takes what comes and writes nothing.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self.raw = raw
        self.error: OSError | None = None

    def write(self, data: Buffer) -> int:
        size = memoryview(data).nbytes
        if self.error is None:
            try:
                self._write(memoryview(data).cast("B"))
            except OSError as error:
                self.error = error
        return size

    def _write(self, data: memoryview) -> None:
        while len(data):
            data = data[self.raw.write(data) :]

    def readinto(self, buffer: Any) -> int:
        found = self.raw.readinto(buffer)  # type: ignore[attr-defined]
        return int(found)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.raw.seek(offset, whence)

    def tell(self) -> int:
        return self.raw.tell()

    def truncate(self, size: int | None = None) -> int:
        if self.error is None:
            try:
                self.raw.truncate(size)
            except OSError as error:
                self.error = error
        return 0 if size is None else size

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def is_hdf5(path: Path) -> bool:
    """Tell whether a file begins as HDF5 files do, be it damaged further on."""
    try:
        require_regular(path)
        with path.open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except (OSError, InputError):
        return False


def schema_of(path: Path) -> str | None:
    """Return the schema name an HDF5 file carries; None for anything that is not such a file."""
    outline = _outline(path)
    return None if outline is None else outline.schema


def names_in(path: Path) -> tuple[str, ...] | None:
    """Return the names at the root of an HDF5 file; None where it has none or is damaged."""
    outline = _outline(path)
    return None if outline is None else outline.names or None


def _outline(path: Path) -> vetting.Outline | None:
    """Return what a file is, read here where it is known to be whole and harmless."""
    if not is_hdf5(path):
        return None
    digest = checksums.sealed_digest(path)
    if not digest or not known.is_known(digest):
        return vetting.outline(path)
    with h5py.File(path, "r") as file:
        schema = file.attrs.get("schema")
        return vetting.Outline(None, schema if isinstance(schema, str) else None, tuple(file))


def read_file(
    path: Path, schema: str, version: int, read: Callable[[h5py.File], Content], made_by: str = ""
) -> Content:
    """Open a file, check that it is what the caller expects, and return what `read` makes of it.

    Its checksum is compared before the HDF5 library sees it. A file that this user's processes did
    not write is first read in a process of its own, once; one without a checksum, which versions
    before 0.2 wrote, every time, with a note in the log. `read` converts
    and does nothing else: what it raises is told as damage of the file. What the caller does with
    the content comes after, so that an error of its own stays what it is. `made_by` names the
    command that makes such files, for messages.

    Raises
    ------
    InputError
        The file does not exist, or is none.
    FormatError
        It is not HDF5, truncated, foreign, of another schema, newer than this package, changed
        since it was written, or lacks a part, or what is read from it makes no sense; the path
        comes first.
    """
    require_regular(path)
    expected = _described(schema, made_by)
    sealed = _checked(path, expected)
    try:
        file = h5py.File(path, "r")
    except _DAMAGE as error:
        raise FormatError(_unreadable(path, expected)) from error
    with file:
        try:
            _check_header(file, schema, version, made_by)
            if not sealed:
                _check_content(path, file)
            return read(file)
        except MissingDependencyError:
            raise
        except MemoryError:
            raise InputError(f"{path}: does not fit into memory") from None
        except NeuroSSMError as error:
            raise FormatError(f"{path}: {_one_line(error)}") from error
        except _DAMAGE as error:
            raise FormatError(f"{path}: damaged {schema} file: {_one_line(error)}") from error


def _checked(path: Path, expected: str) -> bool:
    """Refuse a damaged file; tell whether its checksum shows that it is whole."""
    try:
        digest = checksums.sealed_digest(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if digest == "":
        raise FormatError(
            f"{path}: damaged: its bytes are not those that were written (SHA-256 differs); "
            "copy or make it again"
        )
    if digest is None or not known.is_known(digest):
        if not is_hdf5(path):
            raise FormatError(_unreadable(path, expected))
        found = vetting.outline(path)
        if not found.opened:
            raise FormatError(_unreadable(path, expected))
        if found.problem is not None:
            raise FormatError(f"{path}: {found.problem}; expected a {expected}")
        if digest is not None:
            known.remember(digest)
    return digest is not None


def _unreadable(path: Path, expected: str) -> str:
    return (
        f"{path}: not a readable HDF5 file (foreign, damaged or truncated); expected a {expected}"
    )


def _check_content(path: Path, file: h5py.File) -> None:
    """Compare the content of a file whose bytes carry no checksum with what was written."""
    wanted = file.attrs.get(checksums.CONTENT)
    if wanted is None:
        _log.warning(
            "%s: carries no checksum (an older neurossm wrote it), so damage may go unnoticed; "
            "write it anew with this version",
            path,
        )
    elif wanted != checksums.content_digest(file):
        raise FormatError("was changed after it was written (SHA-256 of the content differs)")


def _described(schema: str, made_by: str) -> str:
    return f"{schema!r}" + (f", as `{made_by}` writes" if made_by else "")


def _check_header(file: h5py.File, schema: str, version: int, made_by: str) -> None:
    found = file.attrs.get("schema")
    expected = _described(schema, made_by)
    if not isinstance(found, str):
        raise FormatError(f"foreign HDF5 file without a 'schema'; expected a {expected}")
    if found != schema:
        raise FormatError(f"holds a {found!r}, expected a {expected}")
    number = file.attrs.get("version")
    if not isinstance(number, (int, np.integer)):
        raise FormatError(f"{schema} file without a version number")
    if number > version:
        raise FormatError(
            f"{schema} version {number} is newer than version {version}, the newest this "
            "neurossm reads; upgrade neurossm or write the file again with this one"
        )
    if number < 1:
        raise FormatError(f"{schema} version {number} is not one neurossm ever wrote")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
