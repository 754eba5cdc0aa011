"""Run a program on an engine given by one name: see `neurossm.engine.names`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from neurossm import engine as engine_room
from neurossm.arrays import as_names
from neurossm.engine.names import engine_names
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


def check_engines(engines: str | Iterable[str]) -> tuple[str, ...]:
    """Return one name, or several without repetition.

    Raises
    ------
    InputError
        An engine is unknown, or none was named.
    """
    known = engine_names()
    names = as_names(engines, "engines")
    if not names:
        raise InputError(f"engines: none given; known: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise InputError(f"engine {name!r} is unknown; known: {', '.join(known)}")
    return names
