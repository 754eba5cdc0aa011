"""NeuroSSM compiles PyTorch spiking state-space models to fixed-point Lava and Loihi programs.

The public names are loaded on first use: `import neurossm` alone imports neither PyTorch, nor
Lava, nor Numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurossm.compile import compile_model as compile_model
    from neurossm.cost import profile as profile
    from neurossm.models.checkpoint import load as load
    from neurossm.models.export import export as export
    from neurossm.parity import verify as verify
    from neurossm.program import Program as Program

__version__ = "0.1.0"

_HOMES = {
    "Program": "neurossm.program",
    "compile_model": "neurossm.compile",
    "export": "neurossm.models.export",
    "load": "neurossm.models.checkpoint",
    "profile": "neurossm.cost",
    "verify": "neurossm.parity",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'neurossm' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
