"""`neurossm train`: train a network with a recipe and write its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.options import file_option, shown_option
from neurossm.cli.output import json_option, open_output

if TYPE_CHECKING:
    from neurossm.train.loop import EpochReport


@click.command("train")
@click.option("--task", required=True, help="smnist or token-order.")
@click.option("--model", required=True, help="binary-s4d, gsu, s4d-gelu or s4d-relu.")
@shown_option("--size", default="full", help="full or small.")
@file_option("-o", "--output", "model_path", required=True, help="Checkpoint to write.")
@file_option("--data", help="Folder with the MNIST IDX files.")
@shown_option("--seed", type=int, default=0)
@click.option("--epochs", type=int, help="Instead of the recipe's number.")
@click.option("--device", help="cuda or cpu. [default: cuda if there is one]")
@json_option
def command(
    task: str,
    model: str,
    size: str,
    model_path: Path,
    data: Path | None,
    seed: int,
    epochs: int | None,
    device: str | None,
    json_path: str | None,
) -> None:
    """Train a state-space model and evaluate it once on the test samples."""
    with open_output(json_path) as output:
        from neurossm.files import require_writable
        from neurossm.train import make_device, make_task, recipe, save_outcome, train

        require_writable(model_path)
        chosen = recipe(model, size, epochs)
        where = make_device(device)
        samples = make_task(task, data)
        with output.progress(f"training on {where.type}", chosen.training.epochs) as advance:

            def report(_: EpochReport) -> None:
                advance(1)

            outcome = train(samples, chosen, seed, where, report)
        save_outcome(model_path, outcome, samples)
        rows = [
            (r.epoch, r.loss, f"{r.seconds:.1f}", f"{100 * r.held_out_accuracy:.2f}")
            for r in outcome.reports
        ]
        output.table("Epochs", ["epoch", "loss", "seconds", "held out (%)"], rows)
        test = 100 * outcome.training["test_accuracy"]
        output.line(f"Test accuracy {test:.2f} % on {len(samples.test)} samples: {model_path}")
        output.json(outcome.training)
