"""Engines by name, with the device where an engine has a choice: "lava", "fast", "fast:cuda"."""

from __future__ import annotations

from neurossm.engine import DEVICES, ENGINES, check_options
from neurossm.errors import InputError


def engine_names() -> tuple[str, ...]:
    """Return every engine, and every engine with every device it knows besides its default."""
    others = (f"{name}:{device}" for name in ENGINES for device in DEVICES[1:])
    return (*ENGINES, *(name for name in others if _exists(*name.split(":"))))


def _exists(name: str, device: str) -> bool:
    try:
        check_options(name, device)
    except InputError:
        return False
    return True
