"""`neurossm import`: turn somebody else's checkpoint into a NeuroSSM model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurossm.cli.graphs import show_nodes
from neurossm.cli.options import file_argument, file_option, output_option
from neurossm.cli.output import Output, json_option, open_output

if TYPE_CHECKING:
    from neurossm.importers import Checked, Imported, ImportOptions


@click.command("import")
@file_argument("checkpoint", metavar="CKPT")
@output_option("-o", "--output", "model_path", help="Checkpoint to write; needed without --check.")
@file_option(
    "--check",
    "check_path",
    metavar="DATA.npz",
    help="Write nothing; show the accuracy of every reading of CKPT on labelled samples.",
)
@click.option("--limit", type=int, help="With --check: only the first N samples. [default: 1000]")
@file_option("--config", help="The YAML it was trained with.")
@click.option("--which", metavar="NAME", help="The weights to take, where CKPT holds several.")
@click.option(
    "--input",
    "input_",
    metavar="KIND",
    help="What a linear encoder reads: uint8[:SIZE] (pixels), counts:HIGH (integers from 0), "
    "float:LOW:HIGH, or per channel float:L1,L2:H1,H2.",
)
@click.option("--mean", metavar="M[,M]", help="What was subtracted from pixels divided by 255.")
@click.option("--std", metavar="S[,S]", help="What they were divided by then.")
@click.option(
    "--activation",
    help="After the SSM: spike, gelu or relu. In a GSU, after the norm: gelu or none.",
)
@click.option("--neuron", help="cadlif or adlif, where names are those of both.")
@click.option("--prenorm/--postnorm", " /--no-prenorm", default=None, help="Where the norms stand.")
@click.option("--norm", help="batch, layer, group, instance or none, where names do not tell.")
@click.option("--norm-eps", type=float, help="Added to the variance in norms. [default: 1e-5]")
@click.option("--pool", help="mean, last or max: what the decoder reads of all steps.")
@click.option("--residual", help="sum or none: whether a block's input is added.")
@click.option("--discretization", help="bilinear or zoh. [default: its code's default]")
@click.option("--real-transform", help="How the real part of A is stored. [default: exp]")
@click.option("--dt-transform", help="How dt is stored. [default: exp]")
@file_option("--calibration", help="DATA.npz to keep for compiling.")
@click.option("--dt", type=float, help="Of a NIR file: length of a step, in its unit of time.")
@click.option(
    "--integration",
    type=click.Choice(["euler", "exact"]),
    help="Of a NIR file: how its equations are integrated. [default: euler]",
)
@json_option
def command(
    checkpoint: Path,
    model_path: Path | None,
    check_path: Path | None,
    limit: int | None,
    config: Path | None,
    which: str | None,
    input_: str | None,
    mean: str | None,
    std: str | None,
    activation: str | None,
    neuron: str | None,
    prenorm: bool | None,
    norm: str | None,
    norm_eps: float | None,
    pool: str | None,
    residual: str | None,
    discretization: str | None,
    real_transform: str | None,
    dt_transform: str | None,
    calibration: Path | None,
    dt: float | None,
    integration: str | None,
    json_path: str | None,
) -> None:
    """Import CKPT of another project (the paper's code, S4, SpikingSSM, SiLIF); none of it is run.

    What changes the function and stands neither in CKPT nor in its configuration is asked for. A
    file of NIR (.nir) becomes a float graph, in steps of --dt.
    """
    if checkpoint.suffix == ".nir":
        _only_for_nir(click.get_current_context().params)
        _import_nir(checkpoint, model_path, input_, dt, integration or "euler", json_path)
        return
    if dt is not None or integration is not None:
        raise click.UsageError("--dt and --integration go with a NIR file (.nir).")
    _one_of(model_path, check_path, limit, calibration)
    with open_output(json_path) as output:
        from neurossm.importers import ImportOptions

        options = ImportOptions(
            input=input_,
            discretization=discretization,
            real_transform=real_transform,
            dt_transform=dt_transform,
            activation=activation,
            prenorm=prenorm,
            norm=norm,
            norm_eps=norm_eps,
            pool=pool,
            residual=residual,
            mean=mean,
            std=std,
            which=which,
            neuron=neuron,
        )
        if check_path is not None:
            _check(output, checkpoint, check_path, config, options, limit)
        elif model_path is not None:
            _import(output, checkpoint, model_path, config, options, calibration)


_OF_NIR = ("checkpoint", "model_path", "input_", "dt", "integration", "json_path")


def _only_for_nir(given: dict[str, object]) -> None:
    for name, value in given.items():
        if name not in _OF_NIR and value is not None:
            option = "--" + name.removesuffix("_path").replace("_", "-")
            raise click.UsageError(f"{option} says nothing of a NIR file; leave it out.")
    if given["model_path"] is None:
        raise click.UsageError("Missing option '-o' / '--output'.")


def _import_nir(
    path: Path,
    graph_path: Path | None,
    given: str | None,
    dt: float | None,
    integration: Any,
    json_path: str | None,
) -> None:
    assert graph_path is not None
    with open_output(json_path) as output:
        from neurossm.interchange import import_nir

        graph = import_nir(path, dt=dt, input=given, integration=integration)
        graph.save(graph_path)
        output.line(f"Imported {path.name}: float graph {graph_path}")
        output.json(show_nodes(output, graph))


def _one_of(
    model_path: Path | None, check_path: Path | None, limit: int | None, calibration: Path | None
) -> None:
    if model_path is None and check_path is None:
        raise click.UsageError("Missing option '-o' / '--output', or '--check'.")
    if check_path is None and limit is not None:
        raise click.UsageError("--limit goes with --check.")
    for name, value in (("-o", model_path), ("--calibration", calibration)):
        if check_path is not None and value is not None:
            raise click.UsageError(f"--check writes nothing; leave {name} out.")


def _import(
    output: Output,
    checkpoint: Path,
    model_path: Path,
    config: Path | None,
    options: ImportOptions,
    calibration: Path | None,
) -> None:
    from neurossm.datafile import load_data
    from neurossm.importers import import_checkpoint

    samples = None if calibration is None else load_data(calibration)
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


def _check(
    output: Output,
    checkpoint: Path,
    data: Path,
    config: Path | None,
    options: ImportOptions,
    limit: int | None,
) -> None:
    from neurossm.datafile import load_data
    from neurossm.importers import CHECK_SAMPLES, check_checkpoint

    samples = load_data(data)
    samples = samples.limited(min(CHECK_SAMPLES, len(samples.x)) if limit is None else limit)
    found = check_checkpoint(checkpoint, samples, config, options)
    _show_check(output, checkpoint, found)
    output.json(found.to_json())


def _show_check(output: Output, path: Path, found: Checked) -> None:
    scores = ", ".join(f"{name} {value:g}" for name, value in found.scores.items())
    output.line(f"{path}: {len(found.readings)} readings on {found.samples:,} samples")
    output.line(f"The file says: {scores or 'nothing of its accuracy'}")
    verdicts = {True: "yes", False: "no", None: ""}
    output.table(
        "Readings",
        ["options", "accuracy", "as the file says"],
        [
            (tried.arguments or "(as given)", f"{tried.accuracy:.2%}", verdicts[tried.reproduces])
            for tried in found.readings
        ],
    )
    output.line(f"The commonest class alone is {found.chance:.2%} of the samples.")
    if found.proposals:
        ways = " or ".join(tried.arguments or "as given" for tried in found.proposals)
        output.line(f"Proposed: {ways}. Nothing was taken or written.")
    elif found.scores:
        output.line("No reading reproduces what the file says: other data, or another network.")
    else:
        output.line("The file says nothing to compare with: the most accurate reading comes first.")


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
