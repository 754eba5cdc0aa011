"""NeuroSSM compiles PyTorch spiking state-space models to fixed-point Lava and Loihi programs.

What the commands do, functions of the same names do: `import_checkpoint`, `load`, `export`,
`check`, `compile_model`, `verify`, `profile`, `tune`, `report`, `inspect`, `targets`, and
`Program.run`.

The public names are loaded on first use: `import neurossm` alone imports neither PyTorch, nor
Lava, nor Numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurossm.checking import check as check
    from neurossm.compile import CompileOptions as CompileOptions
    from neurossm.compile import Widths as Widths
    from neurossm.compile import compile_model as compile_model
    from neurossm.cost import profile as profile
    from neurossm.errors import FormatError as FormatError
    from neurossm.errors import InputError as InputError
    from neurossm.errors import LimitError as LimitError
    from neurossm.errors import MissingDependencyError as MissingDependencyError
    from neurossm.errors import NeuroSSMError as NeuroSSMError
    from neurossm.errors import RunError as RunError
    from neurossm.errors import UnsupportedError as UnsupportedError
    from neurossm.graph import Graph as Graph
    from neurossm.hw_profiles import targets as targets
    from neurossm.importers import ImportOptions as ImportOptions
    from neurossm.importers import import_checkpoint as import_checkpoint
    from neurossm.inspection import inspect as inspect
    from neurossm.models.checkpoint import load as load
    from neurossm.models.export import export as export
    from neurossm.parity import verify as verify
    from neurossm.program import Program as Program
    from neurossm.reduction import ReduceOptions as ReduceOptions
    from neurossm.reduction import reduce as reduce
    from neurossm.reporting import report as report
    from neurossm.tuning import TuneOptions as TuneOptions
    from neurossm.tuning import tune as tune

__version__ = "0.2.0"

_HOMES = {
    "CompileOptions": "neurossm.compile",
    "FormatError": "neurossm.errors",
    "Graph": "neurossm.graph",
    "ImportOptions": "neurossm.importers",
    "InputError": "neurossm.errors",
    "LimitError": "neurossm.errors",
    "MissingDependencyError": "neurossm.errors",
    "NeuroSSMError": "neurossm.errors",
    "Program": "neurossm.program",
    "ReduceOptions": "neurossm.reduction",
    "RunError": "neurossm.errors",
    "TuneOptions": "neurossm.tuning",
    "UnsupportedError": "neurossm.errors",
    "Widths": "neurossm.compile",
    "check": "neurossm.checking",
    "compile_model": "neurossm.compile",
    "export": "neurossm.models.export",
    "import_checkpoint": "neurossm.importers",
    "inspect": "neurossm.inspection",
    "load": "neurossm.models.checkpoint",
    "profile": "neurossm.cost",
    "reduce": "neurossm.reduction",
    "report": "neurossm.reporting",
    "targets": "neurossm.hw_profiles",
    "tune": "neurossm.tuning",
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
