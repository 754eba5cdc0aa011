"""Write a program's C into a folder: whole or not at all, and over nothing that is not ours."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from numpy.typing import ArrayLike

from neurossm.c.datafile import MAGIC, data_bytes
from neurossm.c.source import STYLES, CSource, is_untouched, source_of
from neurossm.c.texts import check_identifier
from neurossm.errors import InputError
from neurossm.files import as_path
from neurossm.program import Program


def emit(
    program: Program,
    folder: str | Path,
    *,
    style: str = "portable",
    name: str = "network",
    data: ArrayLike | None = None,
) -> CSource:
    """Write a program as C99 into a folder.

    Parameters
    ----------
    program
        The integer program.
    folder
        Where to write; it is made if it does not exist. Files that were emitted before and not
        edited since are replaced.
    style
        One of `STYLES`.
    name
        What files and functions begin with.
    data
        Samples (B, L, size) to write to `data.bin`, with what the reference makes of them: `main`
        compares.

    Returns
    -------
    CSource
        The text of all files, and what memory they take.

    Raises
    ------
    InputError
        An unknown style, a name that is no identifier, a folder that cannot be written, or a file
        in it that would be lost.
    UnsupportedError
        The program has an operation that cannot be written in C, or not in this style.
    """
    target = as_path(folder, "folder to write")
    check_identifier(name)
    if style not in STYLES:
        raise InputError(f"style {style!r} is unknown; known: {', '.join(STYLES)}")
    source = source_of(program, name, style)
    contents = {file: text.encode() for file, text in source.files.items()}
    _check(target, [*contents, *([] if data is None else ["data.bin"])])
    if data is not None:
        contents["data.bin"] = data_bytes(program, source, data)
    try:
        _write(target, contents)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from None
    return source


def _check(folder: Path, names: list[str]) -> None:
    """Refuse a folder that cannot be written, and files that would be lost."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name another to write to")
    if not folder.exists() and not folder.absolute().parent.is_dir():
        raise InputError(f"{folder}: folder {folder.parent} does not exist; create it first")
    writable = folder if folder.exists() else folder.absolute().parent
    if not os.access(writable, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: folder {writable} is not writable")
    for name in names:
        path = folder / name
        if (path.exists() or path.is_symlink()) and not _is_ours(path):
            raise InputError(
                f"{path}: was not emitted by NeuroSSM, or was edited since; "
                "move it, or name another folder"
            )


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        content = path.read_bytes()
    except OSError:
        return False
    if path.suffix == ".bin":
        return content.startswith(MAGIC)
    return is_untouched(content.decode("utf-8", "replace"))


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all files beside the folder first; then put the folder, or each file, in its place."""
    parent = folder.absolute().parent
    temporary = Path(
        tempfile.mkdtemp(prefix=".emitted-", dir=folder if folder.exists() else parent)
    )
    try:
        inner = temporary / "files"
        inner.mkdir()
        for name, content in contents.items():
            (inner / name).write_bytes(content)
        if folder.exists():
            for name in contents:
                os.replace(inner / name, folder / name)
        else:
            inner.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
