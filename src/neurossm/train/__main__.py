"""``python -m neurossm.train``: train with PyTorch and NumPy alone, no other package needed."""

from __future__ import annotations

import argparse
import json
import sys

from neurossm.errors import NeuroSSMError
from neurossm.train.command import ARGUMENTS, chosen_settings, run_training
from neurossm.train.options import options
from neurossm.train.settings import presets


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="python -m neurossm.train", description=__doc__)
    for argument in ARGUMENTS:
        names = ["-o", argument.flag] if argument.name == "output" else [argument.flag]
        text = argument.help.format(presets=", ".join(presets())).replace("%", "%%")
        if argument.kind is bool:
            found.add_argument(*names, action="store_true", help=text)
        else:
            found.add_argument(*names, type=argument.kind, help=text)
    for option in options():
        text = option.help.replace("%", "%%")
        if option.kind is bool:
            found.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=text)
        elif option.many:
            found.add_argument(option.flag, action="append", help=text)
        else:
            choices = option.choices or None
            found.add_argument(option.flag, type=option.kind, choices=choices, help=text)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Train, write the checkpoint, and print how it was made as one line of JSON."""
    values = vars(parser().parse_args(arguments))
    try:
        if values["print_config"]:
            sys.stdout.write(chosen_settings(values).toml())
            return 0
        outcome = run_training(values)
    except NeuroSSMError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if outcome is not None:
        sys.stdout.write(json.dumps(outcome.training) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
