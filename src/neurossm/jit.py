"""One way to compile with Numba: machine code on first use, kept on disk where that is possible.

Importing this module imports no Numba; the first compilation does.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, TypeVar

from neurossm.errors import MissingDependencyError
from neurossm.threads import usable_cores

Function = TypeVar("Function", bound=Callable[..., Any])

prange = range
"""Numba's `prange` inside a function compiled by `lazily`; `range` where that runs as Python."""


def _share_limit_of_threads() -> None:
    """Let a limit of OpenMP's threads be Numba's, too, which reads its own when it is imported.

    Both start threads through one library: Numba would raise PyTorch's number to that of the cores
    as soon as it runs a loop in parallel. Where somebody imported Numba before, it is left alone:
    it refuses another number later.
    """
    if "numba" in sys.modules:
        return
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdigit() and 0 < int(limit) < usable_cores():
        os.environ.setdefault("NUMBA_NUM_THREADS", limit)


_share_limit_of_threads()
_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


def require_numba() -> None:
    """Import Numba, before anything else does.

    Raises
    ------
    MissingDependencyError
        It does not start here: one of its variables makes no sense, or it is broken.
    """
    try:
        importlib.import_module("numba")
    except (ImportError, OSError, ValueError, RuntimeError, TypeError) as error:
        variables = [name for name in os.environ if name.startswith("NUMBA_")]
        way = f"; unset {' or '.join(variables)}" if variables else ""
        reason = str(error).rstrip(".")
        raise MissingDependencyError(f"Numba does not start: {reason}{way}") from error


def compiled(
    function: Function, options: Mapping[str, Any] = _DEFAULTS, signature: str | None = None
) -> Function:
    """Compile a function that Python calls, and keep its machine code on disk.

    Numba keeps it beside the source, or in a folder of the user where that is not writable; where
    neither is, it compiles in every process.

    Parameters
    ----------
    function
        What to compile.
    options
        Of `numba.njit`.
    signature
        The only types it takes; by default those of each call.
    """
    require_numba()
    from numba import njit

    compiler: Any = njit
    try:
        result: Function = compiler(signature, cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function ...: no locator available"
        result = compiler(signature, **options)(function)
    return result


def lazily(options: Mapping[str, Any] = _DEFAULTS) -> Callable[[Function], Function]:
    """Decorate a function that is compiled when it is first called, with options of `numba.njit`.

    `prange` of this module becomes Numba's. `__wrapped__` is the function in plain Python.
    """

    def decorate(function: Function) -> Function:
        @functools.cache
        def machine_code() -> Callable[..., Any]:
            return compiled(_with_prange(function), options)

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            return machine_code()(*arguments)

        return call  # type: ignore[return-value]

    return decorate


def _with_prange(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with Numba's `prange` in the place of this module's."""
    require_numba()
    from numba import prange as parallel

    assert isinstance(function, FunctionType)
    names = {
        name: parallel if value is prange else value for name, value in function.__globals__.items()
    }
    changed = FunctionType(function.__code__, names, function.__name__)
    return functools.update_wrapper(changed, function)
