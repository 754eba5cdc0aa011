"""``python -m neurossm.train``: train with PyTorch and NumPy alone, no other package needed."""

from __future__ import annotations

import argparse
import json
import sys

from neurossm.errors import NeuroSSMError
from neurossm.train.loop import EpochReport
from neurossm.train.recipes import RECIPES, recipe
from neurossm.train.run import TASKS, make_device, make_task, save_outcome, train


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m neurossm.train", description=__doc__)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--model", choices=sorted({key[0] for key in RECIPES}), required=True)
    parser.add_argument("--size", choices=("full", "small"), default="full")
    parser.add_argument("-o", "--output", required=True, help="checkpoint to write")
    parser.add_argument("--data", help="folder with the data of the task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's number")
    parser.add_argument("--device", help="cuda or cpu; default: cuda if there is one")
    parser.add_argument("--max-steps", type=int, help="stop early, for trials")
    return parser.parse_args(arguments)


def _print(report: EpochReport) -> None:
    line = (
        f"epoch {report.epoch:3d}  loss {report.loss:.4f}  {report.seconds:6.1f} s  "
        f"held out {100 * report.held_out_accuracy:.2f} %\n"
    )
    sys.stderr.write(line)
    sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    """Train, write the checkpoint, and print how it was made as one line of JSON."""
    options = _parse(arguments)
    try:
        task = make_task(options.task, options.data)
        outcome = train(
            task,
            recipe(options.model, options.size, options.epochs),
            options.seed,
            make_device(options.device),
            _print,
            options.max_steps,
        )
        save_outcome(options.output, outcome, task)
    except NeuroSSMError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(outcome.training) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
