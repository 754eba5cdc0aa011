"""`neurossm compile`: compile a model to a fixed-point program and say what was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from neurossm.cli.options import file_argument, file_option, output_option, shown_option
from neurossm.cli.output import Output, json_option, open_output
from neurossm.compile.options import (
    DEFAULT_TARGET,
    ROUNDINGS,
    ROW_SCALES,
    SCALINGS,
    CompileOptions,
    Widths,
)
from neurossm.errors import InputError

if TYPE_CHECKING:
    from neurossm.place.placement import Placement
    from neurossm.program import Program


_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_DEFAULTS = CompileOptions()
_WIDTH_HELP = {
    "weight": "Encoder and mixing weights.",
    "decoder": "Decoder weights.",
    "pole": "SSM poles.",
    "readout": "SSM C and D.",
    "state": "SSM states.",
    "drive": "SSM inputs.",
    "residual": "Residual stream.",
    "mix": "Gated units and tables.",
    "graded": "SSM outputs sent into ternary weights.",
    "gain": "Per-channel factors.",
}


def _width_options(command: _Decorated) -> _Decorated:
    for field in reversed(fields(Widths)):
        default = getattr(_DEFAULTS.widths, field.name)
        command = click.option(
            f"--{field.name}-bits",
            type=int,
            default=default,
            show_default=True,
            help=_WIDTH_HELP[field.name],
        )(command)
    return command


@click.command("compile")
@file_argument("model")
@shown_option(
    "--target", default=DEFAULT_TARGET, help="A target of `neurossm targets`, or FILE.toml."
)
@output_option(
    "-o",
    "--output",
    "program_path",
    help="Program to write. [default: MODEL's stem and the target, in the working directory]",
)
@shown_option(
    "--scaling",
    type=click.Choice(SCALINGS),
    default=_DEFAULTS.scaling,
    help="Prove that nothing overflows, or take ranges seen on data and saturate.",
)
@file_option(
    "--calibration",
    help="DATA.npz: ranges for calibrated scaling, rounding of weights, a GSU's static "
    "threshold. [default: the checkpoint's own batch]",
)
@click.option(
    "--threshold-scale",
    type=float,
    help="A GSU's static threshold as a multiple of its mean on calibration data; more means "
    "fewer spikes. [default: chosen for each layer, or on a target with a channel maximum the "
    "threshold per step, as trained]",
)
@shown_option(
    "--headroom-bits",
    type=int,
    default=_DEFAULTS.headroom_bits,
    help="Spare bits above the ranges seen on calibration data.",
)
@shown_option(
    "--max-steps", type=int, default=_DEFAULTS.max_steps, help="Longest sample, in time steps."
)
@click.option(
    "--table-step-log2",
    type=int,
    help="Table segments are 2^-this wide. [default: 3 for sigmoid, 4 for GELU]",
)
@shown_option(
    "--rounding",
    type=click.Choice(ROUNDINGS),
    default=_DEFAULTS.rounding,
    help="Let the errors of mixing weights cancel on calibration data, where there are any.",
)
@shown_option(
    "--row-scale",
    type=click.Choice(ROW_SCALES),
    default=_DEFAULTS.row_scale,
    help="Unit of a row of weights: full width at one product per feature, or a mere shift.",
)
@file_option(
    "--precision", help="Widths layer by layer, in a TOML file such as `neurossm tune` writes."
)
@_width_options
@json_option
def command(
    model: Path,
    target: str,
    program_path: Path | None,
    scaling: str,
    rounding: str,
    row_scale: str,
    calibration: Path | None,
    precision: Path | None,
    json_path: str | None,
    **numbers: Any,
) -> None:
    """Compile MODEL (a checkpoint or a float graph) to a fixed-point program."""
    with open_output(json_path) as output:
        from neurossm.compile import prepare
        from neurossm.compile.precision import check_layers
        from neurossm.datafile import load_data

        path = program_path or Path(f"{model.stem}.{Path(target).stem}.h5")
        if program_path is None:
            output.writes(path)
        widths = {
            name.removesuffix("_bits"): numbers.pop(name)
            for name in list(numbers)
            if name.endswith("_bits") and name != "headroom_bits"
        }
        options = CompileOptions(
            widths=Widths(**widths),
            scaling=scaling,
            rounding=rounding,
            row_scale=row_scale,
            **numbers,
        )
        if precision is not None:
            options = with_precision(options, precision)
        samples = None if calibration is None else load_data(calibration)
        with output.progress() as progress:
            prepared = prepare(model, target, options, samples, progress)
        check_layers(prepared.graph, options.layers, f"{precision}: ")
        program, placement = prepared.placed()
        results = _results(program, placement)
        program.save(path)
        _show(output, path, results, options)
        output.json(results)


def with_precision(options: CompileOptions, path: Path) -> CompileOptions:
    """Return the options with a file's widths; what it says must not be said again otherwise."""
    from neurossm.compile.precision import load_precision

    context = click.get_current_context()
    precision = load_precision(path)
    given = [
        name
        for name in (f"{field.name}_bits" for field in fields(Widths))
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if given:
        option = given[0].replace("_", "-")
        raise click.UsageError(f"--precision sets all widths: change {path}, or drop --{option}")
    chosen = context.get_parameter_source("scaling") is ParameterSource.COMMANDLINE
    if chosen and precision.scaling not in (None, options.scaling):
        raise InputError(
            f"{path}: its widths were chosen for {precision.scaling} scaling, not for "
            f"{options.scaling}; drop --scaling, or tune with it"
        )
    return precision.applied(options)


def _results(program: Program, placement: Placement) -> dict[str, Any]:
    from neurossm.origin import imported_line_of
    from neurossm.place.latency import latency_steps
    from neurossm.program.certificate import certificates

    return {
        "target": program.target,
        "origin": imported_line_of(program.provenance),
        "cores_used": placement.cores_used,
        "chips_used": placement.chips_used,
        "least_cores": placement.least_cores,
        "latency_steps": latency_steps(program),
        "max_steps": program.max_steps,
        "scaling": program.provenance["options"]["scaling"],
        "rounding": program.provenance["rounding"],
        "calibration": program.provenance.get("calibration"),
        "tensors": [
            asdict(row)
            | {"exponent": row.exponent[0] if len(set(row.exponent)) == 1 else list(row.exponent)}
            for row in certificates(program)
        ],
        "approximations": [asdict(item) for item in program.approximations],
        "dynamic_thresholds": [op.name for op in program.ops if op.channel_maximum],
    }


def _show(output: Output, path: Path, results: dict[str, Any], options: CompileOptions) -> None:
    rounding = results["rounding"]
    widths = _listed(asdict(options.widths))
    output.line(f"Compiled for {results['target']}: {path}")
    if results["origin"] is not None:
        output.line(f"Model {results['origin']}")
    output.line(f"Widths in bits: {widths}")
    for layer, own in options.layers.items():
        output.line(f"  {layer}: {_listed(own)}")
    output.line(f"Scaling: {results['scaling']}. Mixing weights rounded: {rounding}.")
    if results["calibration"] is not None:
        output.line(_calibration(results["calibration"], results["scaling"]))
    output.table(
        "Tensors",
        ["tensor", "bits", "exponent", "bound", "headroom (bits)", "overflow"],
        [
            (
                row["name"],
                row["bits"],
                _exponent(row["exponent"]),
                row["bound"],
                f"{row['headroom_bits']:.2f}",
                "impossible (proved)" if row["proved"] else "saturates",
            )
            for row in results["tensors"]
        ],
    )
    output.table(
        "Approximations",
        ["name", "what", "largest error"],
        [(row["name"], row["description"], row["max_error"]) for row in results["approximations"]],
    )
    if results["dynamic_thresholds"]:
        kept = ", ".join(results["dynamic_thresholds"])
        output.line(f"Thresholds at every step from the largest activation, as trained: {kept}")
    unproved = [row["name"] for row in results["tensors"] if not row["proved"]]
    if unproved:
        output.line(f"Calibrated, not proved ({len(unproved)} tensors): {', '.join(unproved)}")
    else:
        output.line(
            "Every tensor is proved free of overflow, for any input and any length up to "
            f"{results['max_steps']} steps."
        )
    if results["cores_used"] == 1:
        output.line(f"One core of {results['target']} does all of it in turn.")
        return
    output.line(
        f"Placed on {results['cores_used']} cores of {results['chips_used']} chip(s), spread so "
        f"that the busiest has little to do; {results['least_cores']} cores would hold it. "
        f"Latency {results['latency_steps']} steps."
    )


def _calibration(used: Mapping[str, Any], scaling: str) -> str:
    """Say which samples decided what."""
    if used["seed"] is None:
        return f"Calibrated on {used['samples']} samples."
    ranges = ", ranges on all of them" if scaling == "calibrated" else ""
    return (
        f"Calibrated on {used['used']} of {used['samples']} samples, chosen at random (seed "
        f"{used['seed']}){ranges}."
    )


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {bits}" for name, bits in widths.items())


def _exponent(exponent: int | list[int]) -> str:
    return str(exponent) if isinstance(exponent, int) else f"{exponent[0]} to {exponent[1]}"
