"""Float, approximated and fixed accuracy of the shipped models: `python parity_table.py`.

Every model is compiled for loihi2-sim with nothing else given, and all three rungs classify the
same digits. `--limit N` takes the first N digits; the default is all 10,000. `--official` takes the
checkpoints of `examples/official` instead, imported with the calibration digits beside them; then
the last column compares the integers with the network after the compiler's replacements.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurossm import compile_model, verify
from neurossm.compile import CompileOptions
from neurossm.datafile import load_data
from neurossm.parity import Verification
from neurossm.parity.results import LayerResult

FOLDER = Path(__file__).resolve().parent
MODELS = ("binary_s4d", "binary_s4d_small", "gsu", "gsu_small")
OFFICIAL_FOLDER = FOLDER.parent / "official"
OFFICIAL = ("binary_s4d", "gsu")
HEAD = (
    "model",
    "float",
    "approximated",
    "fixed",
    "fixed minus float, points (95 %)",
    "same top-1",
    "equal spikes, by layer",
)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="the first N digits")
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument("--official", action="store_true", help="the imported checkpoints")
    parser.add_argument("--scaling", choices=("proved", "calibrated"), default="proved")
    arguments = parser.parse_args()
    if arguments.official and not set(arguments.models or ()) <= set(OFFICIAL):
        parser.error(f"--official has {' and '.join(OFFICIAL)} only")
    if arguments.limit is not None and arguments.limit < 1:
        parser.error("--limit must be at least 1")
    data = load_data(FOLDER / "mnist_test.npz").limited(arguments.limit)
    head = (*HEAD, "integers to approximated") if arguments.official else HEAD
    print("| " + " | ".join(head) + " |\n|---" + "|--:" * (len(head) - 1) + "|", flush=True)
    for name in arguments.models or (OFFICIAL if arguments.official else MODELS):
        label, model, calibration = _official(name) if arguments.official else _shipped(name)
        options = CompileOptions(scaling=arguments.scaling)
        program = compile_model(model, options=options, calibration=calibration)
        outcome = verify(program, data.x, data.y, model, ("fast",), progress=_count)
        cells = _row(label, outcome)
        if arguments.official:
            assert outcome.approximated_fixed is not None
            cells.append(_spikes(outcome.approximated_fixed.layers))
        print("| " + " | ".join(cells) + " |", flush=True)
        for warning in outcome.warnings:
            print(f"{name}: {warning}", file=sys.stderr)


def _shipped(name: str) -> tuple[str, Any, Any]:
    """Return a model of this folder; it carries its calibration digits."""
    return f"{name}.pt", FOLDER / f"{name}.pt", None


def _official(name: str) -> tuple[str, Any, Any]:
    """Return an imported model, and the digits to calibrate it on."""
    from neurossm.importers import import_checkpoint

    label = f"{name}.ckpt"
    calibration = load_data(OFFICIAL_FOLDER / "calibration.npz").x
    return label, import_checkpoint(OFFICIAL_FOLDER / label).model, calibration


def _row(label: str, found: Verification) -> list[str]:
    paired = found.paired_difference
    assert paired is not None  # the digits have labels
    points = [f"{100 * x:+.2f}" for x in (paired.difference, paired.low, paired.high)]
    return [
        f"`{label}`",
        *(_percent(found.accuracy[rung]) for rung in ("float", "approximated", "fixed")),
        f"{points[0]} ({points[1]} to {points[2]})",
        _percent(found.top1_agreement),
        _spikes(found.layers),
    ]


def _spikes(layers: Iterable[LayerResult]) -> str:
    return " / ".join(f"{100 * layer.spike_agreement:.2f}" for layer in layers) + " %"


def _percent(share: float | None) -> str:
    assert share is not None
    return f"{100 * share:.2f} %"


def _count(what: str, done: int, total: int) -> None:
    """Count on stderr, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done / total:.0%}", end="\n" if done == total else "", file=sys.stderr)


if __name__ == "__main__":
    main()
