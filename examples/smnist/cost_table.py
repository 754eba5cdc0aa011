"""Print the README's table of what the shipped models cost, from real digits.

    .venv/bin/python examples/smnist/cost_table.py [DIGITS]

The numbers of one model, with all their parts: `neurossm profile PROGRAM --data mnist_test.npz`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import click

from neurossm.compile import compile_model
from neurossm.cost import CostProfile, profile
from neurossm.hw_profiles import EnergyPj

FOLDER = Path(__file__).parent
MODELS = ("binary_s4d", "binary_s4d_small", "gsu", "gsu_small")
COLUMNS = (
    "model",
    "synaptic operations, of dense",
    "state operations",
    "others",
    "float model (MAC)",
    "Loihi 2 by proxy",
    "integers in 45 nm",
    "float model in 45 nm",
    "cores (least)",
)


def main() -> None:
    """Compile, run and count every model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("digits", nargs="?", type=int, default=1000, help="the first so many")
    digits = parser.parse_args().digits
    if digits < 1:
        parser.error("digits must be at least 1")
    click.echo("| " + " | ".join(COLUMNS) + " |")
    click.echo("|---|" + "--:|" * (len(COLUMNS) - 1))
    for name in MODELS:
        program = compile_model(FOLDER / f"{name}.pt")
        result = profile(program, FOLDER / "mnist_test.npz", limit=digits)
        click.echo("| " + " | ".join(row(name, result)) + " |")


def row(name: str, result: CostProfile) -> list[str]:
    """Return one line: millions of operations, millijoules."""
    counts = result.totals.mean(result.samples)
    synaptic = counts["Effective_ACs"] + counts["Effective_MACs"]
    states = counts["state_multiplies"] + counts["state_adds"]
    others = counts["elementwise_multiplies"] + counts["elementwise_adds"]
    (integers,) = (energy for energy in result.others if energy.hw == "cmos45")
    assert result.float_energy is not None
    assert result.placement is not None
    return [
        f"`{name}.pt`",
        f"{synaptic / 1e6:.1f} M of {counts['Dense'] / 1e6:.1f} M",
        f"{states / 1e6:.1f} M",
        f"{others / 1e6:.1f} M",
        f"{result.float_model.total_macs / 1e6:.1f} M",
        millijoule(result.energy.total),
        millijoule(integers.total),
        millijoule(result.float_energy.total),
        f"{result.placement.cores_used} ({result.placement.least_cores})",
    ]


def millijoule(energy: EnergyPj) -> str:
    """Return a range in mJ."""
    least = "≥ " if energy.is_minimum else ""
    return f"{least}{energy.low / 1e9:.2f} to {energy.high / 1e9:.2f} mJ"


if __name__ == "__main__":
    main()
