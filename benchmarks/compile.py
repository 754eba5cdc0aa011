"""What compiling costs: `python benchmarks/compile.py` prints processor seconds by stage.

The shipped networks of 4 x 128 channels with their calibration digits, the official GSU, and random
GSUs as large as asked for. Imports and machine code kept on disk are not counted.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import click

from neurossm.compile import compile_model, compiler, emit
from neurossm.graph import Graph, TernaryNode

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from random_networks import random_graph  # noqa: E402

SHIPPED = ("binary_s4d", "gsu", "official_gsu")
STAGES: tuple[tuple[str, Any, str], ...] = (
    ("load", compiler, "load_graph"),
    ("approximate", compiler, "approximate"),
    ("fold", compiler, "fold"),
    ("observe and bound", compiler, "_observed"),
    ("weights", emit, "_weights"),
    ("poles", emit, "_poles"),
    ("formats", emit, "plan_formats"),
    ("emit (all but these)", compiler, "emit_program"),
    ("certify", compiler, "certify"),
    ("place", compiler, "place"),
)


def processor_seconds() -> float:
    """Return what all threads of this process used, in the system, too."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Stopwatch:
    """Adds up processor time by stage; what a stage calls counts for the inner one only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is timed."""

        def call(*arguments: Any, **named: Any) -> Any:
            start = processor_seconds()
            self._inner.append(0.0)
            result = function(*arguments, **named)
            took = processor_seconds() - start
            own = took - self._inner.pop()
            self._inner[-1] += took
            self.seconds[stage] = self.seconds.get(stage, 0.0) + own
            return result

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time all stages of the compiler meanwhile."""
        with ExitStack() as stack:
            for stage, module, name in STAGES:
                timed = self.timed(stage, getattr(module, name))
                stack.enter_context(mock.patch.object(module, name, timed))
            yield


def official_gsu(folder: Path) -> Path:
    """Import the official GSU with its calibration digits."""
    from neurossm.cli import cli

    path, source = folder / "official_gsu.pt", ROOT / "examples" / "official"
    arguments = ["import", str(source / "gsu.ckpt"), "-o", str(path)]
    cli([*arguments, "--calibration", str(source / "calibration.npz")], standalone_mode=False)
    return path


def random_gsu(blocks: int, channels: int) -> Graph:
    """Return a GSU of S4D-Inv poles, 32 modes per channel, and random weights."""
    graph = random_graph(
        0, channels=channels, modes=32, blocks=blocks, classes=10, pole_kind="inv", mixer="gsu"
    )
    assert any(isinstance(node, TernaryNode) for node in graph.nodes)
    return graph


def show(name: str, model: Path | Graph) -> None:
    """Compile once to have machine code, and once more to time it."""
    if isinstance(model, Path):
        compile_model(model)
    else:
        compile_model(random_gsu(1, 2))
    watch, wall, start = Stopwatch(), time.perf_counter(), processor_seconds()
    with watch.watching():
        compile_model(model)
    total = processor_seconds() - start
    print(f"\n{name}: {total:.2f} s of processor time, {time.perf_counter() - wall:.2f} s")
    for stage, seconds in watch.seconds.items():
        print(f"  {stage:22} {seconds:7.2f}")


@click.command()
@click.option("--shipped/--no-shipped", default=True, help="The shipped networks.")
@click.option("--size", "sizes", multiple=True, help="Random GSUs: BLOCKSxCHANNELS, as 6x512.")
def main(shipped: bool, sizes: tuple[str, ...]) -> None:
    """Print processor seconds by stage."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SHIPPED if shipped else ():
            official = name == "official_gsu"
            path = ROOT / "examples" / "smnist" / f"{name}.pt"
            show(name, official_gsu(Path(folder)) if official else path)
        for size in sizes:
            blocks, channels = (int(number) for number in size.split("x"))
            show(f"GSU {size}", random_gsu(blocks, channels))


if __name__ == "__main__":
    main()
