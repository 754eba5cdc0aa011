"""Which files' bytes this user's processes wrote, or read without harm, by their SHA-256.

A checksum inside a file shows damage, not who made it. So a file is only opened at once where its
digest stands in a folder of the user: the one that certificates are remembered in.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from neurossm.files import cache_folder

_known: set[str] = set()


def is_known(digest: str) -> bool:
    """Tell whether a file of these bytes was written or read before."""
    if digest in _known:
        return True
    path = _entry(digest)
    try:
        found = path is not None and path.is_file()
    except OSError:
        return False
    if found:
        _known.add(digest)
    return found


def remember(digest: str) -> None:
    """Remember a file that was written or read, if there is a place to."""
    _known.add(digest)
    path = _entry(digest)
    if path is not None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def _entry(digest: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "files" / digest
