"""What the conformance tests share: plain modules of this folder, loaded by their path.

`tests` is no package (see tests/conftest.py), so the modules are registered under their plain
names, in an order in which each finds those it imports.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
MODULES = (
    *("branches", "programs", "sandbox", "emulation", "checks", "replay", "probes", "mutants"),
    *("campaign", "mutation", "equations", "equivalents", "printed_c", "mutants_c"),
)


def load(path: Path) -> ModuleType:
    """Return the module of a file, loaded once."""
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[path.stem])
    return sys.modules[path.stem]


load(HERE.parent / "random_networks.py")
load(HERE.parent / "random_structures.py")
for _name in MODULES:
    load(HERE / f"{_name}.py")


@pytest.fixture(scope="session")
def module() -> Callable[[str], ModuleType]:
    """Load a module of this folder that not every test can import: those that need Lava."""
    return lambda name: load(HERE / f"{name}.py")


@pytest.fixture(scope="session")
def branches() -> ModuleType:
    """Counts of branches: `count(program, data, tensors, logits)`."""
    return sys.modules["branches"]


@pytest.fixture(scope="session")
def programs() -> ModuleType:
    """Programs and data: `networks()`, `compiled()`, `loose()`, `corners()`."""
    return sys.modules["programs"]


@pytest.fixture(scope="session")
def checks() -> ModuleType:
    """Comparisons of engines: `compared`, `fast`, `reference`."""
    return sys.modules["checks"]


@pytest.fixture(scope="session")
def structures() -> ModuleType:
    """Random float graphs of any names and links: `random_structure(seed)`."""
    return sys.modules["random_structures"]


@pytest.fixture(scope="session")
def emulation() -> ModuleType:
    """The kernels' vectors in NumPy."""
    return sys.modules["emulation"]


@pytest.fixture(scope="session")
def mutants() -> ModuleType:
    """Tables of edits."""
    return sys.modules["mutants"]


@pytest.fixture(scope="session")
def mutation() -> ModuleType:
    """Altered engines: `every_case`, `as_python`, `of_reference`."""
    return sys.modules["mutation"]


@pytest.fixture(scope="session")
def campaign() -> ModuleType:
    """Commands in parallel: `answers`, `Log`."""
    return sys.modules["campaign"]


@pytest.fixture(scope="session")
def equations() -> ModuleType:
    """Mutants of equations: `mutants(kind)`."""
    return sys.modules["equations"]


@pytest.fixture(scope="session")
def equivalents() -> ModuleType:
    """Mutants that change nothing, with proofs."""
    return sys.modules["equivalents"]


@pytest.fixture(scope="session")
def replay() -> ModuleType:
    """Single operations computed again: `parts`, `altered`, `noticed`, `FORMS`."""
    return sys.modules["replay"]


@pytest.fixture(scope="session")
def mutants_c() -> ModuleType:
    """Edits of what prints C: `EDITS`."""
    return sys.modules["mutants_c"]


@pytest.fixture(scope="session")
def printed_c() -> ModuleType:
    """Single operations in C: `Printed`, `noticing`."""
    return sys.modules["printed_c"]
