"""Print the README's tables from what `train_all.py` found: `python table.py [FILE.json ...]`.

Without files: all results that lie beside this script.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
WORTH = (
    "preset",
    "test samples",
    "float",
    "fixed",
    "fixed minus float, points (95 %)",
    "same top-1",
    "equal spikes, by layer",
    "firing rate, by layer",
)
RUNGS = ("preset", "verified on", "float", "approximated", "fixed", "same top-1", "survives")
MADE = ("preset", "parameters", "epochs", "minutes", "device", "held out, kept epoch")
COST = (
    "preset",
    "steps, mean",
    "synaptic operations, of dense",
    "state operations",
    "cores (least)",
)


def main() -> None:
    """Print four Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args().files or sorted(FOLDER.glob("*.json"))
    found = [json.loads(file.read_text()) for file in files]
    for head, row in ((WORTH, worth), (RUNGS, rungs), (MADE, made), (COST, cost)):
        print("| " + " | ".join(head) + " |\n|---" + "|--:" * (len(head) - 1) + "|")
        for one in found:
            print("| " + " | ".join([f"`{one['preset']}`", *row(one)]) + " |")
        print()


def worth(one: dict[str, Any]) -> list[str]:
    """Return the trained network on a GPU against the integers, on the whole test set."""
    whole, layers = one["whole"], one["verify"]["layers"]
    paired = whole["paired_difference"]
    points = [f"{100 * paired[name]:+.2f}" for name in ("difference", "low", "high")]
    return [
        f"{whole['samples']:,}",
        percent(whole["float32"]["value"]),
        percent(whole["fixed"]["value"]),
        f"{points[0]} ({points[1]} to {points[2]})",
        percent(whole["top1_agreement"]["value"]),
        listed(layers, "spike_agreement"),
        listed(layers, "firing_rate"),
    ]


def rungs(one: dict[str, Any]) -> list[str]:
    """Return what `verify` found, whose float rungs have double precision."""
    found = one["verify"]
    accuracy = [percent(found["accuracy"][rung]) for rung in ("float", "approximated", "fixed")]
    survives = "yes" if found["survives"] else "no"
    return [f"{found['samples']:,}", *accuracy, percent(found["top1_agreement"]), survives]


def made(one: dict[str, Any]) -> list[str]:
    """Return how the network was trained."""
    training = one["training"]
    held_out = training["held_out_accuracy"]
    return [
        f"{training['parameters']:,}",
        str(training["settings"]["training"]["epochs"]),
        f"{training['seconds'] / 60:.1f}",
        training["device"],
        "-" if held_out is None else f"{percent(held_out)}, {training['epoch']}",
    ]


def cost(one: dict[str, Any]) -> list[str]:
    """Return the operations of a sample, in millions, and the cores."""
    found, counts = one["cost"], one["cost"]["counts"]
    synaptic = counts["Effective_ACs"] + counts["Effective_MACs"]
    states = counts["state_multiplies"] + counts["state_adds"]
    return [
        f"{found['steps']:,.0f}",
        f"{synaptic / 1e6:,.1f} M of {counts['Dense'] / 1e6:,.1f} M",
        f"{states / 1e6:,.1f} M",
        f"{found['cores_used']} ({found['least_cores']})",
    ]


def listed(layers: list[dict[str, Any]], name: str) -> str:
    """Return a share of each layer."""
    return " / ".join(f"{100 * layer[name]:.1f}" for layer in layers) + " %"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.2f} %"


if __name__ == "__main__":
    main()
