"""Float, approximated and fixed accuracy of the shipped models: `python parity_table.py`.

Every model is compiled for loihi2-sim with nothing else given, and all three rungs classify the
same digits. `--limit N` takes the first N digits; the default is all 10,000.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from neurossm import compile_model, verify
from neurossm.compile import CompileOptions
from neurossm.datafile import load_data

FOLDER = Path(__file__).resolve().parent
MODELS = ("binary_s4d", "binary_s4d_small", "gsu", "gsu_small")
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
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--scaling", choices=("proved", "calibrated"), default="proved")
    arguments = parser.parse_args()
    data = load_data(FOLDER / "mnist_test.npz").limited(arguments.limit)
    print("| " + " | ".join(HEAD) + " |\n|---" + "|--:" * (len(HEAD) - 1) + "|", flush=True)
    for name in arguments.models:
        model = FOLDER / f"{name}.pt"
        program = compile_model(model, options=CompileOptions(scaling=arguments.scaling))
        outcome = verify(program, data.x, data.y, model, ("fast",), progress=_dots(len(data.x)))
        print(_row(name, outcome.results), flush=True)
        for warning in outcome.warnings:
            print(f"{name}: {warning}", file=sys.stderr)


def _row(name: str, results: dict[str, Any]) -> str:
    paired = results["paired_difference"]
    points = [f"{100 * paired[key]:+.2f}" for key in ("difference", "low", "high")]
    cells = [
        f"`{name}.pt`",
        *(_percent(results["accuracy"][rung]) for rung in ("float", "approximated", "fixed")),
        f"{points[0]} ({points[1]} to {points[2]})",
        _percent(results["top1_agreement"]),
        " / ".join(f"{100 * layer['spike_agreement']:.2f}" for layer in results["layers"]) + " %",
    ]
    return "| " + " | ".join(cells) + " |"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _dots(samples: int) -> Any:
    """Return a progress function that counts on stderr, on a terminal only."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if sys.stderr.isatty():
            print(f"\r{done} of {samples}", end="\n" if done == samples else "", file=sys.stderr)

    return advance


if __name__ == "__main__":
    main()
