"""Engines by name, with the device where an engine has a choice: "lava", "fast", "fast:cuda"."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from neurossm import engine as engine_room
from neurossm.errors import InputError
from neurossm.program import Program, Run


def run_on(
    program: Program, data: NDArray[np.generic], engine: str, record: Iterable[str] = ()
) -> Run:
    """Run samples on an engine of `engine_names`; see `neurossm.engine.run`."""
    name, _, device = engine.partition(":")
    if not device:
        return engine_room.run(program, data, engine=name, record=record)
    return engine_room.run(program, data, engine=name, record=record, device=device)


def engine_names() -> tuple[str, ...]:
    """Return every engine, and every engine with every device it knows besides its default."""
    others = (
        f"{name}:{device}"
        for name in engine_room.ENGINES
        for device in engine_room.DEVICES[1:]
        if _has_device(name, device)
    )
    return (*engine_room.ENGINES, *others)


def check_engines(engines: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition.

    Raises
    ------
    InputError
        An engine is unknown, or none was named.
    """
    known = engine_names()
    names = tuple(dict.fromkeys(engines))
    if not names:
        raise InputError(f"engines: none given; known: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise InputError(f"engine {name!r} is unknown; known: {', '.join(known)}")
    return names


def _has_device(name: str, device: str) -> bool:
    try:
        engine_room.check_options(name, device)
    except InputError:
        return False
    return True
