"""Whether Lava is here, and what drives a real Loihi 2."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys

from neurossm.errors import MissingDependencyError

__all__ = ["prepare_lava", "require_lava", "require_loihi2"]

LOIHI2_MODULES = ("lava.magma.core.model.c.model", "lava.magma.core.model.nc.model")
"""What Lava's `Loihi2HwCfg` needs and the open release lacks; without it, it dies of NameError."""


def require_lava() -> None:
    """Check that Lava is installed, without importing it.

    Raises
    ------
    MissingDependencyError
        It is not, with how to get it.
    """
    if _exists("lava.magma.core.process.process"):
        return
    here = ".".join(map(str, sys.version_info[:2]))
    raise MissingDependencyError(
        "Lava is not installed; it needs Python 3.10 exactly"
        + ("" if here == "3.10" else f" (this is {here})")
        + ": pip install 'neurossm[lava]' there; the other engines do without it"
    )


def prepare_lava() -> None:
    """Check that Lava is installed and can be imported into this process.

    Lava sets the start method of multiprocessing to "fork" when it is imported, and fails if
    anything has set or used one before, as NumPy's and PyTorch's surroundings do. So the choice is
    undone first; it is "fork" for the whole process afterwards.

    Raises
    ------
    MissingDependencyError
        Lava is not installed.
    """
    require_lava()
    if "lava.magma.runtime.runtime" not in sys.modules:
        multiprocessing.set_start_method(None, force=True)


def require_loihi2() -> None:
    """Check that Intel's closed Loihi 2 extension of Lava is installed, without importing it.

    Raises
    ------
    MissingDependencyError
        It is not, with what is missing.
    """
    require_lava()
    missing = [name for name in LOIHI2_MODULES if not _exists(name)]
    if missing:
        raise MissingDependencyError(
            f"target loihi2: {', '.join(missing)} not found; running on Loihi 2 needs the Lava "
            "extension that Intel gives to members of its neuromorphic research community; "
            "compile with --target loihi2-sim to simulate it"
        )


def _exists(module: str) -> bool:
    """Tell whether a module could be imported; importing parent packages is what this may do."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
