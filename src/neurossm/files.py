"""Writing files whole or not at all, and naming their content."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from neurossm.errors import FormatError, InputError

_CHUNK_BYTES = 1 << 20
_TEXT_BYTES = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing fails with for reasons outside this package."""


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


def require_regular(path: Path) -> None:
    """Check that a file to read is one: no folder, and no pipe or device, which may never end.

    Raises
    ------
    InputError
        There is none, it is none, or it cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # such as a name that is too long
        raise InputError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder; name a file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is a pipe or a device; name a regular file")


def read_text(path: Path, kind: str) -> str:
    """Return the text of a small file that people write, such as a profile.

    Parameters
    ----------
    path
        The file.
    kind
        What it should be, for messages, such as "TOML".

    Raises
    ------
    InputError
        It is missing, no file, or cannot be read.
    FormatError
        It is too long, or no text in UTF-8.
    """
    require_regular(path)
    try:
        content = path.read_bytes() if path.stat().st_size <= _TEXT_BYTES else None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if content is None:
        raise FormatError(f"{path}: not a {kind} file: longer than {_TEXT_BYTES >> 10} KB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: not a {kind} file: it is not UTF-8 text") from None


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` if the block succeeds.

    The temporary file lies in the same folder, so that renaming is atomic, and has the same
    suffix, so that writers that look at it behave alike (a writer that may add a suffix of its
    own, as `numpy.savez` does, gets an open file instead). If the block raises, also on Ctrl-C, it
    is removed and `path` keeps its old content; what a killed process left behind goes with the
    next write to `path`.

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
    target = _real(path)
    beginning = _temporary_beginning(target)
    _remove_leftovers(target.parent, beginning)
    unique = f"{os.getpid()}.{secrets.token_hex(4)}"
    temporary = target.with_name(f"{beginning}{unique}.part{target.suffix}")
    with _removed_on_error(temporary, path):
        _create(temporary, path)
        yield temporary
        if not temporary.exists():
            raise InputError(f"{path}: nothing was written")
        os.replace(temporary, target)


def _temporary_beginning(target: Path) -> str:
    """Return how the temporary files of a file begin on this machine, short for any name."""
    name = f"{socket.gethostname()}\0{target.name}"
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}."


def _remove_leftovers(folder: Path, beginning: str) -> None:
    """Remove temporary files of the same target whose processes were killed."""
    try:
        found = [entry for entry in folder.iterdir() if entry.name.startswith(beginning)]
    except OSError:
        return
    for entry in found:
        process = entry.name[len(beginning) :].partition(".")[0]
        if ".part" in entry.name and process.isdecimal() and not _runs(int(process)):
            with contextlib.suppress(OSError):
                entry.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True


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
    target = _real(as_path(path, "file to write"))
    if any(other is not None and same_file(path, other) for other in inputs):
        raise InputError(f"{path}: is read by the same command; write to another file")
    try:
        problem = _write_problem(target)
    except OSError as error:  # such as a name that is too long
        problem = f"cannot be written: {error.strerror or error}"
    if problem is not None:
        raise InputError(f"{path}: {problem}")


def same_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Tell whether two paths are one file: by name, through links, or as two names of one file."""
    if _real(first) == _real(second):
        return True
    try:
        return Path(first).samefile(second)
    except (OSError, ValueError):  # one of them does not exist
        return False


def _real(path: str | os.PathLike[str]) -> Path:
    """Return a path without links; InputError where a relative one is relative to nothing."""
    try:
        return Path(os.path.realpath(path))
    except FileNotFoundError:
        raise InputError(
            f"{path}: the working directory was removed; change to one that exists"
        ) from None


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
        if isinstance(error, OSError) and error.errno in FULL:
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
    require_regular(as_path(path, "file"))
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def cache_folder() -> Path | None:
    """Return where this user's files that can be made again are kept; None where none are.

    It is `NEUROSSM_CACHE` (empty: nowhere), or `neurossm` in `XDG_CACHE_HOME` or `~/.cache`. It may
    not exist yet.
    """
    chosen = os.environ.get("NEUROSSM_CACHE")
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    return home / "neurossm" if home.is_absolute() else None
