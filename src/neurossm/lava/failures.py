"""What went wrong in the processes that a Lava network runs in.

A model that raises leaves `run()` waiting for ever, for the others wait for its messages.
"""

from __future__ import annotations

import contextlib
import traceback
from typing import Any, NamedTuple

from neurossm.errors import NeuroSSMError


class Failure(NamedTuple):
    """What to say of an exception in one line, and where it came from."""

    message: str
    detail: str


def failure_of(error: Exception, detail: str | None = None) -> Failure:
    """Describe an exception; ours explain themselves, others need their type."""
    words = " ".join(str(error).split())
    message = words if isinstance(error, NeuroSSMError) else f"{type(error).__name__}: {words}"
    if detail is None:
        detail = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Failure(message, detail)


def first_failure(process: Any) -> Failure | None:
    """Return what is wrong with the first model that raised or died, of a process's network."""
    for name, actor in zip(_names(process), actors_of(process), strict=False):
        # The main thread may be joining an actor meanwhile, which closes its pipes.
        with contextlib.suppress(OSError, ValueError):
            if actor.exception is not None:
                error, detail = actor.exception
                failure = failure_of(error, detail)
                if not isinstance(error, NeuroSSMError):
                    failure = failure._replace(message=f"{name}: {failure.message}")
                return failure
            if not actor.is_alive() and actor.exitcode:
                return Failure(f"{name}: its process died (exit code {actor.exitcode})", "")
    return None


def actors_of(process: Any) -> list[Any]:
    """Return the processes of the operating system that run a network."""
    infrastructure = getattr(process.runtime, "_messaging_infrastructure", None)
    return [] if infrastructure is None else list(infrastructure.actors)


def _names(process: Any) -> list[str]:
    """Names of the actors: processes first, then Lava's runtime service."""
    executable = process.runtime and process.runtime._executable
    names = [one.name for one in executable.proc_builders] if executable else []
    return [*names, *["Lava's runtime service"] * 8]
