"""Which operations' claims were proved before, by content: proving takes longer than reading.

For every program whose claims were proved, a folder of the user holds a small file. Its name and
content are the SHA-256 of all that the proof depends on: every integer, claim and name of the
operations, the sources that bounds are computed by, and the libraries under them. So no entry is
ever out of date; all may be deleted at any time. The folder is `NEUROSSM_CACHE` (empty: none is
used), or `neurossm` in `XDG_CACHE_HOME`, or `~/.cache/neurossm`. Where it cannot be read or
written, every load proves anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from neurossm.errors import NeuroSSMError
from neurossm.files import atomic_path, cache_folder
from neurossm.program.digest import add
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval

_PACKAGE = Path(__file__).parents[1]
_SOURCES = ("*.py", "program/**/*.py", "graph/**/*.py")
"""What bounds depend on: operations, the recurrence, arrays and compilation."""


def known(ops: Sequence[Op]) -> bool:
    """Tell whether the claims of these operations were proved before."""
    path = _entry(ops)
    try:
        return path is not None and path.read_text("ascii") == path.name
    except (OSError, ValueError):
        return False


def remember(ops: Sequence[Op]) -> None:
    """Remember that the claims of these operations are proved, if there is a place to."""
    path = _entry(ops)
    if path is None:
        return
    with contextlib.suppress(OSError, NeuroSSMError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(path.name, "ascii")


def vouched(ops: Sequence[Op]) -> tuple[Op, ...]:
    """Return operations whose claims are known to hold as ones that need no further proof."""
    claims: dict[str, Interval] = {}
    for op in ops:
        spec = op.out if op.saturates else replace(op.out, proved=True)  # it was, or was refused
        op.vouched(spec, *(claims[name] for name in op.inputs), derived=False)
        claims[op.name] = op.out.interval
    return tuple(ops)


def _entry(ops: Sequence[Op]) -> Path | None:
    """Return where it is remembered; None for no folder, or for operations of another package."""
    folder, rules = cache_folder(), _rules()
    if folder is None or rules is None:
        return None
    if any(not type(op).__module__.startswith("neurossm.program.") for op in ops):
        return None
    digest = hashlib.sha256(rules)
    for op in ops:
        add(digest, op)
    return folder / "certificates" / digest.hexdigest()


@cache
def _rules() -> bytes | None:
    """Digest what computes bounds: sources and libraries; None where sources are not at hand."""
    digest = hashlib.sha256()
    libraries = f"numpy {np.__version__} numba {version('numba')} {platform.python_version()}"
    digest.update(f"{libraries} {platform.machine()} {platform.system()}".encode())
    try:
        for pattern in _SOURCES:
            paths = sorted(_PACKAGE.glob(pattern))
            for path in paths:
                add(digest, str(path.relative_to(_PACKAGE)))
                add(digest, path.read_bytes())
            if not paths:
                return None
    except OSError:
        return None
    return digest.digest()
