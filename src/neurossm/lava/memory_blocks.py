"""The shared memory between Lava's processes, named after the worker that they belong to.

Python's resource tracker frees what dead processes leave, but cannot know of a block whose maker
was killed between creating and registering it. By their names all can be found.
"""

from __future__ import annotations

import contextlib
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

_SHARED_MEMORY = Path("/dev/shm")
_RANDOM_BYTES = 6


def name_blocks(folder: Path) -> None:
    """From now on, name what this process and its forks share after the worker's folder."""
    module: Any = shared_memory  # of Python 3.10, to which Lava is tied
    module._SHM_NAME_PREFIX = f"/{_prefix(folder)}"
    module._SHM_SAFE_NAME_LENGTH = len(module._SHM_NAME_PREFIX) + 2 * _RANDOM_BYTES


def free_blocks(folder: Path) -> None:
    """Free what processes that are gone have left."""
    for block in _SHARED_MEMORY.glob(f"{_prefix(folder)}*"):
        with contextlib.suppress(OSError):
            block.unlink()


def _prefix(folder: Path) -> str:
    return f"psm_{folder.name}_"
