"""How kernels are compiled: machine code on first use, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from neurossm.jit import compiled, require_numba

require_numba()
from numba import njit  # noqa: E402

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# "contract" lets a product and a sum become one fused instruction. Every product and every sum is
# exact (see `neurossm.derive`), so fusing changes no result. Nothing else of fast-math is allowed.
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: Function) -> Function:
    """Compile a kernel that other kernels call."""
    machine_code: Function = njit(**_OPTIONS, **_NO_WRAPPERS)(function)
    return machine_code


def inlined(function: Function) -> Function:
    """Compile a piece of a kernel in place, so that its vectors stay in registers."""
    machine_code: Function = njit(inline="always", **_OPTIONS)(function)
    return machine_code


def entry(function: Function) -> Function:
    """Compile a kernel that Python calls, and keep its machine code on disk where possible."""
    return compiled(function, _OPTIONS)


def sources_digest(*derived: str) -> str:
    """Return a hash of all kernel sources, those that were derived from equations included.

    Numba looks only at the file of the function it loads from disk. An entry point that closes
    over this hash is compiled again when any kernel changes.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for text in derived:
        digest.update(text.encode())
    return digest.hexdigest()
