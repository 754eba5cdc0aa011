"""What all tests share: hypothesis profiles, and the rules for tests that need Lava or a GPU.

Lava runs on Python 3.10 only. There, tests that need it run, and fail if it does not import.
Elsewhere they are skipped, and the closing summary says so for each of them.

`--must-run MARKER` fails a run in which no test with this marker passed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

if TYPE_CHECKING:
    from neurossm.program import Program

LAVA_TESTS = Path(__file__).parent / "lava"
IS_LAVA_PYTHON = sys.version_info[:2] == (3, 10)
LAVA_REASON = "Lava runs on Python 3.10 only"

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--must-run`."""
    parser.addoption(
        "--must-run",
        action="append",
        default=[],
        metavar="MARKER",
        help="fail if no test with this marker passes (may be repeated)",
    )


@pytest.fixture(scope="session", autouse=True)
def cache_of_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests prove, some of it by altered code, out of the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROSSM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave the Lava room out where its tests could not even be imported."""
    if collection_path == LAVA_TESTS and not IS_LAVA_PYTHON:
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the Lava room's tests; put files with slow ones first, so that none is left at the end.

    Where files are spread over cores, that would keep one of them busy and the others idle.
    """
    for item in items:
        if LAVA_TESTS in item.path.parents:
            item.add_marker("lava")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run on this machine; fail where Lava should work and does not."""
    if item.get_closest_marker("lava"):
        if not IS_LAVA_PYTHON:
            pytest.skip(LAVA_REASON)
        problem = _lava_problem()
        if problem is not None:
            pytest.fail(f"Lava does not import ({problem}); run `make setup`", pytrace=False)
    if item.get_closest_marker("gpu") and not _has_gpu():
        pytest.skip("no CUDA device")


_said: list[str] = []


@pytest.fixture(scope="session")
def say() -> Callable[[str], None]:
    """Print lines after the last test: what was compared and counted."""
    return _said.append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was said to the process that prints, where tests run in several."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["said"] = _said
        return
    for marker, passed in _passed(session.config).items():
        _said.append(f"tests marked {marker!r}: {passed} passed")
        if not passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _passed(config: pytest.Config) -> dict[str, int]:
    """Count the tests that passed, for each marker of which some must."""
    reports = config.pluginmanager.getplugin("terminalreporter").stats.get("passed", [])
    return {
        marker: sum(marker in report.keywords for report in reports)
        for marker in config.getoption("--must-run")
    }


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what one of several processes said."""
    _said.extend(getattr(node, "workeroutput", {}).get("said", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests said; name every skipped one, and the Lava room where it is left out."""
    if _said:
        terminalreporter.section("compared")
        terminalreporter.write_line("\n".join(_said))
    skipped = [report.nodeid for report in terminalreporter.stats.get("skipped", [])]
    if not IS_LAVA_PYTHON:
        files = sorted(LAVA_TESTS.rglob("test_*.py"))
        skipped += [f"{path.relative_to(LAVA_TESTS.parents[1])} ({LAVA_REASON})" for path in files]
    if not skipped:
        return
    terminalreporter.section(f"NOT RUN: {len(skipped)}", sep="!", red=True, bold=True)
    for name in skipped:
        terminalreporter.line(name, red=True)


@functools.cache
def _lava_problem() -> str | None:
    try:
        importlib.import_module("lava.magma.core.run_configs")
    except Exception as error:  # whatever a broken installation raises
        return f"{type(error).__name__}: {error}"
    return None


@functools.cache
def _has_gpu() -> bool:
    torch = importlib.import_module("torch")
    return bool(torch.cuda.is_available())


@pytest.fixture(scope="session")
def networks() -> ModuleType:
    """Random graphs, programs and data: `random_graph`, `random_program`, `random_data`, ..."""
    return _helper("random_networks")


def _helper(name: str) -> ModuleType:
    """Load a file of this folder; `tests` is no package, as both Lava wheels install one."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def small_program() -> Callable[..., Program]:
    """Build random Binary S4D programs of any size, operation by operation, without the compiler.

    Nothing in them is scaled with care: tensors saturate, and spikes are neither rare nor certain.
    """
    return _small_program


def _small_program(
    *,
    inputs: int = 1,
    channels: int = 3,
    modes: int = 2,
    blocks: int = 1,
    classes: int = 2,
    tokens: bool = False,
    seed: int = 0,
) -> Program:
    from neurossm import graph
    from neurossm import program as p
    from neurossm.naming import layer_in_version_1

    rng = np.random.default_rng(seed)
    H, N = channels, modes

    def integers(low: int, high: int, *shape: int) -> np.ndarray:
        return rng.integers(low, high + 1, shape)

    def affine(name: str, source: str, bits: int) -> p.Affine:
        gain, offset = integers(-99, 99, H), integers(-99, 99, H)
        return p.Affine(name, (source,), p.unchecked(bits, 0, H), gain, integers(0, 3, H), offset)

    def dense(name: str, source: str, size: int) -> p.Dense:
        weight = integers(-127, 127, H, size) * integers(0, 1, H, size)
        return p.Dense(name, (source,), p.unchecked(31, 0, H), weight)

    kind = "tokens" if tokens else "uint8"
    ops: list[p.Op] = [
        p.Input("input", (), p.unchecked(9, 0, 1 if tokens else inputs), kind, inputs, 0, 255)
    ]
    if tokens:
        rows = integers(-127, 127, inputs, H)
        ops.append(p.Embedding("encoder.sum", ("input",), p.unchecked(8, 0, H), rows))
    else:
        ops.append(dense("encoder.sum", "input", inputs))
    ops.append(affine("encoder", "encoder.sum", 20))
    stream = "encoder"
    for i in range(blocks):
        b = f"blocks.{i}"
        ops.append(affine(f"{b}.norm", stream, 16))
        ops.append(
            p.SSM(
                f"{b}.ssm",
                (f"{b}.norm",),
                p.unchecked(24, 0, H),
                a_re=integers(-150, 150, H, N),
                a_im=integers(-150, 150, H, N),
                pole_shift=8,
                input_shift=integers(-2, 2, H, N),
                c_re=integers(-99, 99, H, N),
                c_im=integers(-99, 99, H, N),
                readout_shift=integers(0, 2, H),
                d=integers(-9, 9, H),
                d_shift=integers(0, 2, H),
                state_bits=20,
            )
        )
        ops.append(p.Spike(f"{b}.spike", (f"{b}.ssm",), p.unchecked(2, 0, H), integers(-9, 9, H)))
        for half in ("value", "gate"):
            ops.append(dense(f"{b}.{half}.sum", f"{b}.spike", H))
            ops.append(affine(f"{b}.{half}", f"{b}.{half}.sum", 16))
        slope = np.array([0, 1, 5, 7])
        ops.append(
            p.Table(
                f"{b}.sigmoid",
                (f"{b}.gate",),
                p.unchecked(16, 0, H),
                origin=-512,
                width=8,
                base=integers(0, 99, 4),
                slope=slope,
                slope_shift=4,
            )
        )
        halves = (f"{b}.value", f"{b}.sigmoid")
        ops.append(p.Product(f"{b}.glu", halves, p.unchecked(20, 0, H), integers(0, 4, H)))
        ops.append(p.Add(f"{b}.add", (f"{b}.glu", stream), p.unchecked(20, 0, H)))
        stream = f"{b}.add"
    ops.append(
        p.Readout(
            "decoder",
            (stream,),
            p.unchecked(32, 0, classes),
            weight=integers(-127, 127, classes, H),
            bias=integers(-99, 99, classes),
            shift=4,
            max_steps=1 << 10,
        )
    )
    nodes = (graph.InputNode("input", (), kind, inputs, 0.0, 255.0, 1.0),)
    ops = [replace(op, layer=layer_in_version_1(op.name)) for op in ops]
    return p.Program(tuple(ops), graph.Graph(nodes), "loihi2-sim")
