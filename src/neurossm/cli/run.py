"""`neurossm run`: run a program on data."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from neurossm.cli.output import json_option, open_output
from neurossm.engine import DEFAULT_ENGINE, ENGINES

__all__ = ["command"]


@click.command("run")
@click.argument("program", type=click.Path(path_type=Path))
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="DATA.npz with x (and y)."
)
@click.option("--engine", type=click.Choice(ENGINES), default=DEFAULT_ENGINE, show_default=True)
@click.option(
    "-o",
    "--output",
    "logits_path",
    type=click.Path(path_type=Path),
    help="OUT.npz: logits, logits_exponent, prediction.",
)
@click.option("--limit", type=int, help="Only the first N samples.")
@json_option
def command(
    program: Path,
    data: Path,
    engine: str,
    logits_path: Path | None,
    limit: int | None,
    json_path: str | None,
) -> None:
    """Run PROGRAM on data and write its logits; with labels, show the accuracy."""
    with open_output(json_path) as output:
        from neurossm.datafile import load_data, save_logits
        from neurossm.files import require_writable
        from neurossm.program import Program

        if logits_path is not None:
            require_writable(logits_path, program, data)
        loaded = Program.load(program)
        samples = load_data(data).limited(limit)
        samples.check_labels(loaded.readout.out.channels)
        started = time.perf_counter()
        steps = samples.x.shape[1] if samples.x.ndim > 1 else 0
        with output.progress(f"running on {engine}", steps) as advance:
            result = loaded.run(samples.x, engine=engine, progress=_since_last(advance))
        seconds = time.perf_counter() - started
        if logits_path is not None:
            save_logits(logits_path, loaded, result)
        prediction = result.logits.argmax(axis=1)
        accuracy = None if samples.y is None else float(np.mean(prediction == samples.y))
        output.line(f"{len(prediction)} samples on engine {engine!r} in {seconds:.2f} s")
        if accuracy is not None:
            output.line(f"accuracy {accuracy:.2%}")
        for name, count in result.saturations.items():
            output.line(f"warning: {count} integers of {name} were clipped")
        if logits_path is not None:
            output.line(f"wrote {logits_path}")
        output.json(
            {
                "samples": len(prediction),
                "engine": engine,
                "seconds": seconds,
                "accuracy": accuracy,
                "saturations": result.saturations,
                "prediction": prediction,
            }
        )


def _since_last(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Turn a count of all steps done, as engines report it, into the count since the last call."""
    done = 0

    def report(total: int) -> None:
        nonlocal done
        advance(total - done)
        done = total

    return report
