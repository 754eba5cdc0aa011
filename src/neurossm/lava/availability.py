"""Whether Lava is here."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys

from neurossm.errors import MissingDependencyError


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


def _exists(module: str) -> bool:
    """Tell whether a module could be imported; importing parent packages is what this may do."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
