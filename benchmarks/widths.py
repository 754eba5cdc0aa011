"""How narrow the integers may be: `python benchmarks/widths.py` prints the table of docs.

Each width below its default alone, and several together, against the trained model in float64 on
the same digits, without any retraining.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from agreement import Comparison, FloatModel, checkpoint
from measuring import SHIPPED

from neurossm.compile import CompileOptions, Prepared, Widths, prepare
from neurossm.errors import LimitError

ALONE: dict[str, tuple[int, ...]] = {
    "weight": (6, 5, 4, 3, 2),
    "pole": (14, 12, 10, 8),
    "readout": (12, 10, 8, 6),
    "state": (20, 18, 16),
    "drive": (12, 10),
    "residual": (16, 12),
    "mix": (12, 8),
    "gain": (12, 8),
    "decoder": (12, 8),
}
NARROW = {"weight": 6, "pole": 12, "readout": 8, "state": 16}
"""W6 / A12 / C8 / S16."""
TOGETHER: tuple[tuple[str, dict[str, int]], ...] = (
    ("proved", {}),
    ("proved", {**NARROW, "state": 20}),
    ("proved", {**NARROW, "state": 18}),
    ("proved", NARROW),
    ("calibrated", {}),
    ("calibrated", {"state": 16}),
    ("calibrated", NARROW),
    ("calibrated", {**NARROW, "weight": 4}),
    ("calibrated", {**NARROW, "weight": 3}),
    ("calibrated", {**NARROW, "state": 14}),
    ("calibrated", {**NARROW, "state": 12}),
)
LETTERS = {"weight": "W", "pole": "A", "readout": "C", "state": "S"}


@click.command()
@click.option("--model", type=click.Choice(SHIPPED), default="binary_s4d", show_default=True)
@click.option("--limit", default=10_000, show_default=True, help="Digits.")
@click.option("--only", type=click.Choice(("together", "alone")), help="Leave out the other part.")
@click.option(
    "--float",
    "cache",
    type=click.Path(path_type=Path),
    help="Keep the float model's logits in this file (.npy), or take them from it.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the results.")
def main(
    model: str, limit: int, only: str | None, cache: Path | None, json_path: Path | None
) -> None:
    """Print accuracy and agreement for widths below the defaults, as a Markdown table."""
    trained = FloatModel(model, limit, cache)
    print(f"`{model}.pt`, {limit} digits, float {trained.accuracy:.2%}\n")
    print("| widths below the defaults | scaling | accuracy | change, points (95 %) | "
          "top-1 | logit SNR | clipped |\n|---|---|--:|--:|--:|--:|--:|")  # fmt: skip
    prepared: dict[str, Prepared] = {}
    results: list[dict[str, Any]] = []
    for scaling, widths in cases(only):
        if scaling not in prepared:
            options = CompileOptions(scaling=scaling)
            prepared[scaling] = prepare(checkpoint(model), options=options)
        outcome: Comparison | str
        try:
            outcome = trained.compare(prepared[scaling].compile(Widths(**widths)))
        except LimitError as error:
            outcome = str(error)
        print(row(scaling, widths, outcome), flush=True)
        results.append(entry(scaling, widths, outcome))
        if json_path is not None:
            report = {"model": model, "digits": limit, "float": trained.accuracy, "rows": results}
            json_path.write_text(json.dumps(report, indent=1) + "\n")


def cases(only: str | None) -> list[tuple[str, dict[str, int]]]:
    """List scaling and widths of every row."""
    alone = [("proved", {name: bits}) for name, widths in ALONE.items() for bits in widths]
    return [*(TOGETHER if only != "alone" else ()), *(alone if only != "together" else ())]


def row(scaling: str, widths: dict[str, int], outcome: Comparison | str) -> str:
    """Return a line of the table."""
    name = title(widths)
    if isinstance(outcome, str):
        return f"| {name} | {scaling} | refused: {outcome.partition(';')[0]} | | | | |"
    paired = outcome.paired
    return (
        f"| {name} | {scaling} | {outcome.accuracy:.2%} | {100 * paired.difference:+.2f} "
        f"({100 * paired.low:+.2f} to {100 * paired.high:+.2f}) | {outcome.top1:.2%} | "
        f"{outcome.snr_db:.1f} dB | {outcome.saturations} |"
    )


def title(widths: dict[str, int]) -> str:
    """Name the widths: W6 / A12 where they are many, with their names where there is one."""
    if not widths:
        return "none (the defaults)"
    if len(widths) == 1:
        return " ".join(f"{name} {bits}" for name, bits in widths.items())
    return " / ".join(f"{LETTERS[name]}{bits}" for name, bits in widths.items())


def entry(scaling: str, widths: dict[str, int], outcome: Comparison | str) -> dict[str, Any]:
    """Return a row as plain values."""
    base: dict[str, Any] = {"scaling": scaling, "widths": widths}
    if isinstance(outcome, str):
        return {**base, "refused": outcome}
    paired = outcome.paired
    return {
        **base,
        "accuracy": outcome.accuracy,
        "difference": paired.difference,
        "interval": [paired.low, paired.high],
        "top1_agreement": outcome.top1,
        "logit_snr_db": outcome.snr_db,
        "saturations": outcome.saturations,
    }


if __name__ == "__main__":
    main()
