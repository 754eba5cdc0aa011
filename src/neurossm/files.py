"""Writing files whole or not at all, and naming their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from neurossm.errors import InputError

__all__ = ["atomic_path", "sha256_of"]

_CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` if the block succeeds.

    The temporary file lies in the same folder, so that renaming is atomic, and has the same
    suffix, so that writers that look at it behave alike. If the block raises (also on Ctrl-C) it
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
        The folder is missing or not writable, `path` is a folder, or the block left no file.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise InputError(f"{path}: is a folder, not a file; name a file to write")
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
    _create(temporary, path)
    try:
        yield temporary
        if not temporary.exists():
            raise InputError(f"{path}: nothing was written")
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _create(temporary: Path, path: str | os.PathLike[str]) -> None:
    """Create the empty temporary file now, so that a bad folder is found before the work."""
    folder = temporary.parent
    try:
        # 0o666 less the umask, as open() would; tempfile would give 0o600.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: folder {folder} does not exist; create it first") from None
    except PermissionError:
        raise InputError(f"{path}: folder {folder} is not writable") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be written: {reason}") from None


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
