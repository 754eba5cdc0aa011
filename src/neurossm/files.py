"""Writing files whole or not at all, and naming their content."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from neurossm.errors import InputError

_CHUNK_BYTES = 1 << 20


def as_path(value: object, what: str) -> Path:
    """Return what a user gave as the path of a file.

    Parameters
    ----------
    value
        Text or a path.
    what
        The kind of file, for the message.

    Raises
    ------
    InputError
        It is neither, or holds a null character.
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise InputError(
            f"{what}: expected the path of a file as text or pathlib.Path, got a "
            f"{type(value).__name__}"
        )
    if "\0" in os.fspath(value):
        raise InputError(f"{what}: {os.fspath(value)!r} is no path: it holds a null character")
    return Path(value)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` if the block succeeds.

    The temporary file lies in the same folder, so that renaming is atomic, and has the same
    suffix, so that writers that look at it behave alike (a writer that may add a suffix of its
    own, as `numpy.savez` does, gets an open file instead). If the block raises, also on Ctrl-C, it
    is removed and `path` keeps its old content.

    Parameters
    ----------
    path
        The file to write. It may exist already; a symbolic link is followed.

    Yields
    ------
    Path
        Where to write. The file exists and is empty, with the permissions that the umask gives.

    Raises
    ------
    InputError
        `path` cannot be written (see `require_writable`), the disk is full, or the block left no
        file.
    """
    require_writable(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}.part{target.suffix}")
    with _removed_on_error(temporary, path):
        _create(temporary, path)
        yield temporary
        if not temporary.exists():
            raise InputError(f"{path}: nothing was written")
        os.replace(temporary, target)


def require_writable(path: str | os.PathLike[str], *inputs: str | os.PathLike[str] | None) -> None:
    """Check that a file can be written to `path`, without writing it.

    Call it before long work whose result goes there.

    Parameters
    ----------
    path
        The file to write.
    inputs
        Files that are read: none of them may be the one to write.

    Raises
    ------
    InputError
        The folder is missing or not writable, or `path` is a folder, a device, write-protected or
        one of the inputs.
    """
    target = Path(os.path.realpath(as_path(path, "file to write")))
    if any(other is not None and Path(os.path.realpath(other)) == target for other in inputs):
        raise InputError(f"{path}: is read by the same command; write to another file")
    try:
        problem = _write_problem(target)
    except OSError as error:  # such as a name that is too long
        problem = f"cannot be written: {error.strerror or error}"
    if problem is not None:
        raise InputError(f"{path}: {problem}")


def _write_problem(target: Path) -> str | None:
    folder = target.parent
    mode = _mode(target)
    if mode is not None and stat.S_ISDIR(mode):
        return "is a folder; name a file to write"
    if not folder.is_dir():
        return f"folder {folder} does not exist; create it first"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"folder {folder} is not writable"
    if mode is not None and not stat.S_ISREG(mode):
        # Renaming over /dev/null, which root may do, would break the machine.
        return "is not a regular file; name a file to write"
    if mode is not None and not os.access(target, os.W_OK):
        return "is write-protected; remove it or name another file"
    return None


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def _removed_on_error(temporary: Path, path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{path}: cannot be written: {os.strerror(error.errno)}") from None
        raise


def _create(temporary: Path, path: str | os.PathLike[str]) -> None:
    try:
        # 0o666 less the umask, as open() would; the tempfile module would give 0o600.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits.

    Raises
    ------
    InputError
        The file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()
