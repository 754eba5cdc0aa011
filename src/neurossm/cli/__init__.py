"""The command line: commands parse, call one library function, and print.

A command is `command` in `neurossm/cli/<name>.py` and is imported when it is called, so that
`neurossm --help` stays quick. It takes paths as plain `click.Path(path_type=Path)`: a missing file
is bad input, which the library reports (status 1), not wrong usage (status 2). It raises
`NeuroSSMError` and never prints one; `RootGroup` does that, here and only here.
"""

from __future__ import annotations

import click

import neurossm
from neurossm.cli.root import RootGroup, debug_option
from neurossm.cli.streams import prepare_streams

__all__ = ["cli", "main"]

_SUMMARIES = {
    "import": "Turn somebody else's checkpoint into a NeuroSSM model.",
    "data": "Write the samples of a task, to train, run or verify on.",
    "train": "Train a spiking state-space model.",
    "reduce": "Fit a model with fewer modes.",
    "export": "Write a model's float graph (HDF5).",
    "check": "Find every problem of a file, and show what integers make of it.",
    "compile": "Compile a model to a fixed-point program.",
    "emit": "Write a program as C that anyone can compile.",
    "run": "Run a program on data.",
    "verify": "Compare a program with its float model, and engines with each other.",
    "profile": "Count operations and estimate energy.",
    "report": "Write a report with plots (HTML).",
    "inspect": "Show what a file holds.",
    "targets": "List the hardware profiles to compile for.",
    "tune": "Search for the narrowest widths that keep the accuracy.",
    "doctor": "Show versions and what can run on this machine.",
}


@click.group(
    cls=RootGroup,
    commands_package="neurossm.cli",
    summaries=_SUMMARIES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(neurossm.__version__, prog_name="neurossm", message="%(prog)s %(version)s")
@debug_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Compile spiking state-space models to fixed-point Lava and Loihi programs."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the `neurossm` command and exit with its status."""
    prepare_streams()
    cli(prog_name="neurossm")
