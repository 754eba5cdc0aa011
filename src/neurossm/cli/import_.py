"""`neurossm import`: turn somebody else's checkpoint into a NeuroSSM model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.output import Output, json_option, open_output

if TYPE_CHECKING:
    from neurossm.importers import Imported

__all__ = ["command"]


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CKPT")
@click.option(
    "-o",
    "--output",
    "model_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Checkpoint to write.",
)
@click.option("--config", type=click.Path(path_type=Path), help="The YAML it was trained with.")
@click.option(
    "--input",
    "input_",
    metavar="KIND",
    help="What a linear encoder reads: uint8[:SIZE] (pixels) or float:LOW:HIGH.",
)
@click.option("--discretization", help="bilinear or zoh. [default: its code's default]")
@click.option("--real-transform", help="How the real part of A is stored. [default: exp]")
@click.option("--dt-transform", help="How dt is stored. [default: exp]")
@click.option("--activation", help="After the SSM: spike. In a GSU, after the norm: gelu or none.")
@click.option("--prenorm/--no-prenorm", default=None, help="Where example.py had its norms.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="DATA.npz to keep for compiling."
)
@json_option
def command(
    checkpoint: Path,
    model_path: Path,
    config: Path | None,
    input_: str | None,
    discretization: str | None,
    real_transform: str | None,
    dt_transform: str | None,
    activation: str | None,
    prenorm: bool | None,
    calibration: Path | None,
    json_path: str | None,
) -> None:
    """Import CKPT, of the paper's official code or of state-spaces/s4; nothing in it is run."""
    with open_output(json_path) as output:
        from neurossm.datafile import load_data
        from neurossm.files import require_writable
        from neurossm.importers import ImportOptions, import_checkpoint

        require_writable(model_path, checkpoint, config, calibration)
        options = ImportOptions(
            input_, discretization, real_transform, dt_transform, activation, prenorm
        )
        samples = None if calibration is None else load_data(calibration).x
        imported = import_checkpoint(checkpoint, config, options, samples)
        imported.save(model_path)
        _show(output, model_path, imported)
        output.json(
            {
                **imported.provenance(),
                "config": imported.model.config.to_dict(),
                "parameters": imported.model.parameter_count(),
                "notes": imported.notes,
            }
        )


def _show(output: Output, path: Path, imported: Imported) -> None:
    parameters = imported.model.parameter_count()
    output.line(f"Imported {imported.source} ({parameters:,} parameters): {path}")
    output.table(
        "Settings",
        ["setting", "value", "from"],
        [(setting.name, setting.value, setting.origin) for setting in imported.settings],
    )
    for setting in imported.settings:
        if setting.origin == "assumed":
            output.line(f"assumed: {setting.name} = {setting.value} ({setting.note})")
    for note in imported.notes:
        output.line(f"note: {note}")
