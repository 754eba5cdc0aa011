"""`neurossm doctor`: show versions and what can run on this machine."""

from __future__ import annotations

import click

from neurossm.cli.output import json_option, open_output, plain
from neurossm.environment import Environment, inspect_environment


@click.command("doctor")
@json_option
@click.pass_context
def command(context: click.Context, json_path: str | None) -> None:
    """Show versions, and whether Lava and a GPU can be used here and if not, why.

    The exit status is 1 if a required package is missing.
    """
    with open_output(json_path) as output:
        environment = inspect_environment()
        output.line(f"NeuroSSM {environment.neurossm}, Python {environment.python}")
        output.line(f"{environment.executable} on {environment.platform}")
        output.table("", ["package", "version"], _package_rows(environment))
        output.table("", ["feature", "works", "detail"], _feature_rows(environment))
        for feature in environment.features:
            if feature.advice is not None:
                output.line(f"{feature.name}: {feature.advice}")
        output.json({**plain(environment), "ok": environment.ok})
    if not environment.ok:
        context.exit(1)


def _package_rows(environment: Environment) -> list[tuple[str, str]]:
    absent = {True: "MISSING (required)", False: "not installed (optional)"}
    return [(p.name, p.version or absent[p.required]) for p in environment.packages]


def _feature_rows(environment: Environment) -> list[tuple[str, bool, str]]:
    return [(f.name, f.available, f.detail) for f in environment.features]
