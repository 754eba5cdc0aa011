"""What each choice of the quantiser is worth: `python benchmarks/ablation.py` prints a table.

Every choice is switched off alone, with everything else as by default, and the program compared
with the trained model in float64 on the same digits. Some have an option; for the others the pass
that makes the choice is replaced here by the plain one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
from agreement import Comparison, FloatModel, checkpoint
from measuring import SHIPPED

from neurossm.compile import CompileOptions, Widths, compile_model, poles, rounding
from neurossm.compile import emit as emitting
from neurossm.compile.emit import ssm as neuron
from neurossm.compile.formats import Formats
from neurossm.errors import NeuroSSMError
from neurossm.program import Program

Patches = Callable[[contextlib.ExitStack], None]


@dataclass(frozen=True)
class Ablation:
    """One choice switched off: by other options, by replaced passes, or both."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    patches: tuple[Any, ...] = ()


def _replaced(target: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """Replace a function (or constant) by what `make` builds from it."""
    return mock.patch.object(target, name, make(getattr(target, name)))


def _one_unit(row_units: Any) -> Any:
    def per_tensor(weight: np.ndarray, bits: int, row_scale: str) -> np.ndarray:
        units = row_units(weight, bits, row_scale)
        return np.full_like(units, units.max())

    return per_tensor


def _one_exponent_per_tensor(plan_formats: Any) -> Any:
    def uniform(*arguments: Any, **named: Any) -> Formats:
        formats = plan_formats(*arguments, **named)
        own, drive = (
            {
                name: replace(entry, exponent=np.full_like(entry.exponent, entry.exponent.min()))
                for name, entry in entries.items()
            }
            for entries in (formats.own, formats.drive)
        )
        return replace(formats, own=own, drive=drive)

    return uniform


def _one_value(function: Any) -> Any:
    def smallest(*arguments: Any, **named: Any) -> np.ndarray:
        values = function(*arguments, **named)
        return np.full_like(values, values.min())

    return smallest


def _one_state_scale(input_shift: Any) -> Any:
    def per_layer(*arguments: Any) -> np.ndarray:
        shift = input_shift(*arguments)
        return np.full_like(shift, shift.min())

    return per_layer


def ablations() -> tuple[Ablation, ...]:
    """List the choices."""
    coefficients = _replaced(poles, "response_distance", lambda _: lambda q, p: np.abs(q - p))
    unfitted = _replaced(poles, "refit_residues", lambda _: lambda C, p, q: C)
    common_grid = mock.patch.object(poles, "FINEST", 0)
    return (
        Ablation("default"),
        Ablation("weights: one unit per tensor", {}, (
            _replaced(rounding, "row_units", _one_unit),
        )),
        Ablation("weights: power-of-two unit per row", {"row_scale": "power-of-two"}),
        Ablation("weights: rounded to nearest", {"rounding": "nearest"}),
        Ablation("activations: one exponent per tensor", {}, (
            _replaced(emitting, "plan_formats", _one_exponent_per_tensor),
        )),
        Ablation("C: one exponent per tensor", {}, (
            _replaced(neuron, "fitting_exponent", _one_value),
        )),
        Ablation("states: one scale per layer", {}, (
            _replaced(poles, "input_shift", _one_state_scale),
            _replaced(neuron, "input_shift", _one_state_scale),
        )),
        Ablation("poles: one grid for all", {}, (common_grid,)),
        Ablation("poles: coefficients to nearest", {}, (coefficients,)),
        Ablation("C: not refitted", {}, (unfitted,)),
        Ablation("poles: grid, nearest, no refit", {}, (common_grid, coefficients, unfitted)),
        Ablation("(poles of 8 bits)", {"widths": Widths(pole=8)}),
        Ablation("(8 bits) coefficients to nearest", {"widths": Widths(pole=8)}, (coefficients,)),
        Ablation("(8 bits) C not refitted", {"widths": Widths(pole=8)}, (unfitted,)),
        Ablation("(8 bits) one grid for all", {"widths": Widths(pole=8)}, (common_grid,)),
        Ablation("tables: twice as coarse", {"table_step_log2": -1}),
        Ablation("tables: twice as fine", {"table_step_log2": 1}),
        Ablation("slopes: 1 digit", {"slope_digits": 1}),
        Ablation("slopes: 5 digits", {"slope_digits": 5}),
        Ablation("decoder: 8 bits", {"widths": Widths(decoder=8)}),
        Ablation("scaling: calibrated", {"scaling": "calibrated"}),
    )  # fmt: skip


def compiled(model: str, ablation: Ablation) -> Program:
    """Compile a shipped model without one choice."""
    options = dict(ablation.options)
    if "table_step_log2" in options:
        options["table_step_log2"] += 4 if "gsu" in model else 3
    with contextlib.ExitStack() as stack:
        for patch in ablation.patches:
            stack.enter_context(patch)
        return compile_model(checkpoint(model), options=CompileOptions(**options))


@click.command()
@click.option("--model", "models", type=click.Choice(SHIPPED), multiple=True, help="[default: all]")
@click.option("--limit", default=1_000, show_default=True, help="Digits.")
@click.option("--only", multiple=True, help="Ablations whose name contains this.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the results.")
def main(
    models: tuple[str, ...], limit: int, only: tuple[str, ...], json_path: Path | None
) -> None:
    """Print spike agreement by layer, top-1 agreement and logit SNR, without each choice."""
    results: list[dict[str, Any]] = []
    for model in models or SHIPPED:
        trained = FloatModel(model, limit)
        print(f"\n`{model}.pt`, {limit} digits, float {trained.accuracy:.2%}\n")
        layers = len(trained.spikes)
        heads = [*(f"spikes {i}" for i in range(layers)), "top-1", "accuracy", "logit SNR"]
        print("| without | " + " | ".join(heads) + " |")
        print("|---" * (len(heads) + 1) + "|")
        for ablation in _chosen(only):
            outcome = _compared(model, ablation, trained)
            print(_row(ablation.name, outcome, len(heads)), flush=True)
            results.append(_entry(model, ablation.name, outcome))
            if json_path is not None:
                report = {"digits": limit, "rows": results}
                json_path.write_text(json.dumps(report, indent=1) + "\n")


def _chosen(only: tuple[str, ...]) -> Iterator[Ablation]:
    for ablation in ablations():
        if not only or any(part in ablation.name for part in only):
            yield ablation


def _compared(model: str, ablation: Ablation, trained: FloatModel) -> Comparison | str:
    try:
        return trained.compare(compiled(model, ablation), spikes=True)
    except NeuroSSMError as error:
        return str(error)


def _row(name: str, outcome: Comparison | str, columns: int) -> str:
    if isinstance(outcome, str):
        return f"| {name} | refused: {outcome.partition(';')[0]} |" + " |" * (columns - 1)
    cells = [*(f"{share:.2%}" for share in outcome.spikes), f"{outcome.top1:.2%}"]
    cells += [f"{outcome.accuracy:.2%}", f"{outcome.snr_db:.1f} dB"]
    return f"| {name} | " + " | ".join(cells) + " |"


def _entry(model: str, name: str, outcome: Comparison | str) -> dict[str, Any]:
    if isinstance(outcome, str):
        return {"model": model, "without": name, "refused": outcome}
    return {
        "model": model,
        "without": name,
        "spike_agreement": list(outcome.spikes),
        "top1_agreement": outcome.top1,
        "accuracy": outcome.accuracy,
        "logit_snr_db": outcome.snr_db,
    }


if __name__ == "__main__":
    main()
