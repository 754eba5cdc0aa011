"""Tries altered models of Lava's processes on the golden vectors, on Lava itself.

Each needs a process of its own in which Lava and the altered package are imported: two seconds.
Their kernels run as plain Python there.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import checks
from mutation import GOLDEN
from sandbox import SOURCES, Edit

from neurossm import lava
from neurossm.errors import NeuroSSMError
from neurossm.program import Program

_starting = threading.Lock()
FIRST = {"LayerNorm": "norms", "Ternary": "gsu", "GSU": "gsu", "Embedding": "binary-tokens"}
"""Which of the golden vectors to try first, by the first word of an edit's name."""


@contextmanager
def altered(edits: Iterable[Edit]) -> Iterator[lava.Worker]:
    """Start a worker process that imports an altered copy of the package."""
    with TemporaryDirectory(prefix="neurossm-altered-") as folder:
        package = Path(folder) / "neurossm"
        shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
        texts: dict[Path, str] = {}
        for edit in edits:
            edit.apply(texts)
        for path, text in texts.items():
            (package / path.relative_to(SOURCES)).write_text(text)
        with _starting:  # a worker takes its paths from those of this process
            sys.path.insert(0, folder)
            os.environ["NUMBA_DISABLE_JIT"] = "1"
            try:
                worker = lava.Worker()
            finally:
                sys.path.remove(folder)
                del os.environ["NUMBA_DISABLE_JIT"]
        with worker:
            yield worker


def noticed(name: str, edits: Iterable[Edit]) -> str | None:
    """Return the first golden vector that an altered Lava does not give, and where, or None."""
    first = FIRST.get(name.split(":")[0], "binary-bytes")
    paths = sorted(GOLDEN.glob("*.h5"), key=lambda path: not path.stem.startswith(first))
    with altered(edits) as worker:
        for path in paths:
            place = _difference(Program.load(path), checks.read(path), worker)
            if place is not None:
                return f"{path.stem}: {place}"
    return None


def _difference(program: Program, wanted: checks.Vectors, worker: Any) -> str | None:
    names = tuple(program.recordings)
    try:
        ran = lava.run(program, wanted["data"], record=names, worker=worker, timeout=120)
    except NeuroSSMError as error:
        return f"{type(error).__name__}: {error}"
    return checks.first_difference(ran, wanted, names)


def all_noticed(edits: Mapping[str, Edit], threads: int = 2) -> dict[str, str | None]:
    """Return what notices each edit."""
    with ThreadPoolExecutor(threads) as pool:
        places = pool.map(lambda item: noticed(item[0], [item[1]]), edits.items())
        return dict(zip(edits, places, strict=True))
