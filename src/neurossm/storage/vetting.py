"""Read an HDF5 file of unknown origin in a process of its own, before this one opens it.

The HDF5 library crashes, hangs or takes gigabytes on some damaged files, and follows links to other
files. What passes here is plain: groups and datasets of numbers and texts inside the file, all of
which can be read within the limits. Run as a script, this file is that process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 20
"""Time that the reading process of a small file may take, also where many others run."""

_BYTES_PER_SECOND = 20_000_000
"""Reading is faster by far: a process that took this much longer goes in circles."""

MEMORY_BYTES = 1 << 30
"""Memory that the reading process may take beyond what it starts with."""

VALUE_BYTES, _UNPACKED = 1 << 29, 64
"""Bytes that all values of a file may take together, or so many times the bytes of the file."""

_NAMES = 1_000
_OBJECTS = 100_000
_DEPTH = 32
_SLAB_ITEMS = 1 << 20


@dataclass(frozen=True)
class Outline:
    """What a file is, as far as it can be read.

    Parameters
    ----------
    problem
        What is wrong with it, in one line; None for a file that is safe to open.
    schema
        The schema that it names, or None.
    names
        The names at its root.
    opened
        False where the HDF5 library says that it is no such file.
    """

    problem: str | None
    schema: str | None = None
    names: tuple[str, ...] = ()
    opened: bool = True


def outline(path: Path) -> Outline:
    """Return what an HDF5 file is and what is wrong with it, read in another process.

    The same bytes are read once in the life of this process.
    """
    from neurossm.files import sha256_of  # not where this file runs as a script

    return _outline(path, sha256_of(path))


@functools.lru_cache(maxsize=256)
def _outline(path: Path, _: str) -> Outline:
    code, printed = _read_elsewhere(path)
    head, _, rest = printed.partition("\n")
    known = json.loads(head) if head.startswith("{") else {}
    problem = rest.strip() if known else head.strip()
    if code == -signal.SIGXCPU or code is None:
        problem = "damaged: the HDF5 library does not come to an end with it"
    elif code < 0:
        problem = f"damaged: the HDF5 library crashes on it (signal {-code})"
    elif code > 0:
        problem = problem or "damaged: the HDF5 library cannot read it"
    return Outline(
        problem or None,
        known.get("schema"),
        tuple(known.get("names", ())),
        bool(known) or code != 1,
    )


def _read_elsewhere(path: Path) -> tuple[int | None, str]:
    """Run this file on a path; return its exit status, None after the time limit, and output."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    # Filters that are loaded from a folder would be code of the file's maker.
    environment["HDF5_PLUGIN_PATH"] = "::"
    try:
        ended = subprocess.run(
            [sys.executable, "-I", __file__, os.fspath(path)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS + path.stat().st_size / _BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace")
    return ended.returncode, ended.stdout.decode(errors="replace")


def _main(path: str) -> str | None:
    """Read everything in a file; return what is wrong with it."""
    import h5py

    size = Path(path).stat().st_size
    _limit_resources(size)
    try:
        with h5py.File(path, "r") as file:
            schema = file.attrs.get("schema")
            names = [name for name, _ in zip(file, range(_NAMES), strict=False)]
            known = {"schema": schema if isinstance(schema, str) else None, "names": names}
            sys.stdout.write(json.dumps(known) + "\n")
            sys.stdout.flush()
            return _problem(file, max(VALUE_BYTES, _UNPACKED * size))
    except MemoryError:
        return f"takes more than {MEMORY_BYTES >> 20} MB of memory"
    except Exception as error:  # whatever the library makes of damage
        return f"damaged: {' '.join(str(error).split())[:200] or type(error).__name__}"


def _limit_resources(size: int) -> None:
    try:
        import resource
    except ImportError:  # no such limits on Windows; the time is limited from outside
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = used.ru_utime + used.ru_stime + 1 + size / _BYTES_PER_SECOND
    limits = {
        resource.RLIMIT_CPU: math.ceil(seconds),
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = now + MEMORY_BYTES
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (lower, hard))


def _problem(file: Any, most: int) -> str | None:
    """Return the first thing in a file that is not plain, having read all of it."""
    import h5py

    seen: set[int] = set()
    total = 0
    pending = [(file["/"], 0)]
    while pending:
        group, depth = pending.pop()
        _read_attributes(group)
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"[:200]
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                return f"{where} is a link to elsewhere, which is never followed"
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                return f"{where} stands in the file under two names"
            seen.add(address)
            if len(seen) > _OBJECTS or depth > _DEPTH:
                return f"holds more than {_OBJECTS:,} objects, or groups {_DEPTH} deep"
            if isinstance(item, h5py.Group):
                pending.append((item, depth + 1))
                continue
            if not isinstance(item, h5py.Dataset):
                return f"{where} is neither group nor dataset"
            reason = _unfit(item)
            if reason is not None:
                return f"{where} {reason}"
            total += item.nbytes
            if total > most:
                return f"{where}: the values take more than {most >> 20} MB, the limit"
            _read_attributes(item)
            for _ in _slabs(item):
                pass
    return None


def _unfit(dataset: Any) -> str | None:
    """Return why a dataset is not read."""
    import h5py

    if dataset.external:
        return "keeps its values in another file, which is never followed"
    if dataset.is_virtual:
        return "is a view of other datasets, which is never followed"
    if dataset.dtype.kind not in "biufcSU" and h5py.check_string_dtype(dataset.dtype) is None:
        return f"holds {dataset.dtype} values; numbers and texts are read"
    if dataset.shape is None:
        return "holds nothing"
    stored = dataset.id.get_storage_size()
    if stored == 0 and dataset.size > 1:
        return f"declares a shape {dataset.shape} and stores no value"
    return None


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        item.attrs[name]


def _slabs(dataset: Any) -> Iterator[Any]:
    if dataset.ndim == 0:
        yield dataset[()]
        return
    row = 1
    for size in dataset.shape[1:]:
        row *= size
    rows = max(_SLAB_ITEMS // max(row, 1), 1)
    for first in range(0, dataset.shape[0], rows):
        yield dataset[first : first + rows]


if __name__ == "__main__":
    found = _main(sys.argv[1])
    if found is not None:
        sys.stdout.buffer.write(found.encode(errors="replace") + b"\n")
        sys.exit(1)
