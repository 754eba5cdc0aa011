"""`neurossm check`: every problem of a file, and what integers make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.compile import with_precision
from neurossm.cli.options import file_argument, file_option, shown_option
from neurossm.cli.output import Output, json_option, open_output
from neurossm.compile.options import DEFAULT_TARGET, SCALINGS, CompileOptions

if TYPE_CHECKING:
    from neurossm.checking import Examination


@click.command("check")
@file_argument("file")
@click.option(
    "--target",
    help=f"What a model is compiled for: a target of `neurossm targets`, or FILE.toml. [default: "
    f"{DEFAULT_TARGET}; a program's own]",
)
@click.option(
    "--hw", help="What it is placed on: a target, or FILE.toml. [default: that of --target]"
)
@file_option(
    "--data",
    help="DATA.npz with x (and lengths) to calibrate on and to count spikes on. [default: the "
    "checkpoint's own batch]",
)
@file_option("--precision", help="Widths layer by layer, in a TOML file.")
@shown_option(
    "--scaling",
    type=click.Choice(SCALINGS),
    default=CompileOptions().scaling,
    help="Prove that nothing overflows, or take ranges seen on data and saturate.",
)
@click.option("--ledger", is_flag=True, help="Show what became of every parameter.")
@json_option
def command(
    file: Path,
    target: str | None,
    hw: str | None,
    data: Path | None,
    precision: Path | None,
    scaling: str,
    ledger: bool,
    json_path: str | None,
) -> None:
    """Find every problem of FILE at once: a checkpoint, a graph, a program, or a foreign file.

    Exit status 1 if a command would refuse it.
    """
    with open_output(json_path) as output:
        from neurossm.checking import check

        options = CompileOptions(scaling=scaling)
        if precision is not None:
            options = with_precision(options, precision)
        with output.progress() as progress:
            found = check(file, target, options, data, hw, progress)
        _show(output, found, ledger)
        output.json(found.to_json())
        if not found.ok:
            raise click.exceptions.Exit(1)


def _show(output: Output, found: Examination, ledger: bool) -> None:
    """Print the verdict first, then what it rests on."""
    if found.ok:
        verdict = f"nothing would be refused for {found.target}"
    else:
        verdict = f"refused for {found.target}: {_counted(len(found.problems), 'reason')}"
    output.line(f"{found.file} ({found.kind}): {verdict}.")
    if found.problems:
        rows = [
            (item.where, item.what + (f" ({item.remark})" if item.remark else ""), item.way_out)
            for item in found.problems
        ]
        output.table("Would be refused", ["where", "what", "way out"], rows)
    if found.not_checked:
        output.line(f"Not looked at, as it depends on that: {', '.join(found.not_checked)}.")
    if found.findings:
        output.table(
            "Worth knowing",
            ["kind", "where", "what"],
            [(item.category, item.where, item.what) for item in found.findings],
        )
    _show_activity(output, found)
    _show_fit(output, found)
    _show_ledger(output, found, ledger)


def _show_activity(output: Output, found: Examination) -> None:
    activity = found.activity
    if activity is None:
        output.line("Activity: not measured (no data, or no spikes).")
        return
    rates = ", ".join(f"{layer.tensor} {layer.rate:.1%}" for layer in activity.layers)
    output.line(f"Activity on {activity.samples} samples ({activity.steps} steps): {rates}.")


def _show_fit(output: Output, found: Examination) -> None:
    fit = found.fit
    if fit is None:
        return
    fullest = ", ".join(
        f"{use.limit} {use.needed} of {use.available} ({use.share:.0%})" for use in fit.uses[:4]
    )
    output.line(
        f"Fits {fit.target}: {_counted(fit.cores_used, 'core')} of "
        f"{_counted(fit.chips_used, 'chip')}; {fit.least_cores} would hold it. Fullest: {fullest}."
    )


def _show_ledger(output: Output, found: Examination, every: bool) -> None:
    if not found.ledger:
        return
    unproved = sum(not row.proved for row in found.tensors)
    proof = "all proved" if not unproved else f"{unproved} not proved"
    worst = max(found.ledger, key=lambda row: row.relative_error or 0.0)
    output.line(
        f"{len(found.tensors)} tensors, {proof} free of overflow; {len(found.ledger)} parameters, "
        f"the largest relative error {worst.relative_error or 0.0:.2%} ({worst.name})."
        + ("" if every else " --ledger lists them.")
    )
    if every:
        output.table(
            "Ledger: floats and the integers that stand for them",
            [
                "parameter",
                "floats",
                "integers",
                "bits",
                "exponent",
                "max error",
                "relative",
                "note",
            ],
            [
                (
                    row.name,
                    f"{row.float_low:.4g} to {row.float_high:.4g}",
                    f"{row.integer_low} to {row.integer_high}",
                    row.bits,
                    _exponent(row.exponent, row.unit_low, row.unit_high),
                    f"{row.max_error:.2g}",
                    "-" if row.relative_error is None else f"{row.relative_error:.2%}",
                    row.note,
                )
                for row in found.ledger
            ],
        )


def _exponent(exponent: tuple[int, int] | None, low: float, high: float) -> str:
    if exponent is None:
        return f"units {low:.3g} to {high:.3g}"
    return str(exponent[0]) if exponent[0] == exponent[1] else f"{exponent[0]} to {exponent[1]}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
