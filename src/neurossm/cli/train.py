"""`neurossm train`: train a network and write its checkpoint."""

from __future__ import annotations

from typing import Any

import click

from neurossm.cli.options import OutputPath
from neurossm.cli.output import open_output
from neurossm.train.command import ARGUMENTS, chosen_settings, run_training
from neurossm.train.options import Option, options
from neurossm.train.settings import presets


def _parameters() -> list[click.Parameter]:
    """Return the options of `neurossm.train`, and ``--json``."""
    found: list[click.Parameter] = []
    for argument in ARGUMENTS:
        names = ["-o", argument.flag] if argument.name == "output" else [argument.flag]
        text = argument.help.format(presets=", ".join(presets()))
        switch = argument.kind is bool
        written = argument.name in ("output", "log")
        kind: Any = OutputPath() if written else None if switch else argument.kind
        found.append(click.Option(names, type=kind, is_flag=switch, help=text))
    found += [_parameter(option) for option in options()]
    text = "Write the results as JSON; '-' writes them to stdout and nothing else there."
    found.append(click.Option(["--json", "json_path"], metavar="FILE", help=text))
    return found


def _parameter(option: Option) -> click.Option:
    if option.kind is bool:
        names = f"{option.flag}/--no-{option.flag[2:]}"
        return click.Option([names], is_flag=True, default=None, help=option.help)
    kind: Any = click.Choice(option.choices) if option.choices else option.kind
    return click.Option([option.flag], type=kind, multiple=option.many, help=option.help)


def _run(json_path: str | None, **values: Any) -> None:
    with open_output(json_path) as output:
        if values["print_config"]:
            output.line(chosen_settings(values).toml().rstrip())
            return
        outcome = run_training(values)
        if outcome is None:  # not the first of several processes
            return
        where, training = values["output"], outcome.training
        if "test_accuracy" in training:
            test = 100 * training["test_accuracy"]
            output.line(
                f"Test accuracy {test:.2f} % on {training['test_samples']} samples: {where}"
            )
        elif outcome.finished:
            output.line(f"Trained {len(outcome.reports)} epochs: {where}")
        else:
            output.line(f"Stopped after {len(outcome.reports)} epochs, before the end: {where}")
        output.json(training)


command = click.Command(
    "train",
    callback=_run,
    params=_parameters(),
    help="Train a state-space model and evaluate it once, at the end, on the test samples.\n\n"
    "Settings come from a preset, a TOML file (--config) and options; each wins over the ones "
    "before. They are printed as they are used, and stand in the checkpoint.",
)
