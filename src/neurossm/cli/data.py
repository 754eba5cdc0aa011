"""`neurossm data`: write the samples of a task as arrays."""

from __future__ import annotations

from pathlib import Path

import click

from neurossm.cli.options import file_option, output_option, shown_option
from neurossm.cli.output import json_option, open_output
from neurossm.train.prepared import PACKINGS, PARTS, Packing, Part, write_task
from neurossm.train.tasks import TASKS, TaskRequest, named_task

_LISTED = "\n".join(
    f"  {name}: {source.summary}" + (f"; --data names {source.needs}" if source.needs else "")
    for name, source in TASKS.items()
)


@click.command(
    "data",
    help="Write the samples of TASK as DATA.npz, to train, run or verify on.\n\n"
    f"\b\nTasks:\n{_LISTED}\n\n"
    "Training knows its parts: --task TASK --data FILE. Verify on the test samples alone: "
    "--part test.",
)
@click.argument("task", type=click.Choice(list(TASKS)))
@file_option("--data", "folder", help="Folder with the original files, where TASK needs one.")
@output_option("-o", "--output", "path", required=True, help="DATA.npz to write.")
@shown_option("--part", type=click.Choice(PARTS), default="all", help="Which samples.")
@click.option("--limit", type=int, help="At most N samples of each part.")
@shown_option("--seed", type=int, default=0, help="Of generated samples.")
@shown_option(
    "--packing", type=click.Choice(list(PACKINGS)), default="zlib", help="How to pack it."
)
@json_option
def command(
    task: str,
    folder: Path | None,
    path: Path,
    part: Part,
    limit: int | None,
    seed: int,
    packing: Packing,
    json_path: str | None,
) -> None:
    """Write the samples of a task."""
    with open_output(json_path) as output:
        made = named_task(task, TaskRequest(None if folder is None else str(folder), limit, seed))
        write_task(path, made, part, packing)
        counts = {
            name: len(samples)
            for name, samples in zip(PARTS[1:], (made.train, made.held_out, made.test), strict=True)
            if part in ("all", name)
        }
        shown = ", ".join(f"{count:,} ({name})" for name, count in counts.items())
        output.line(f"Task {task}: {shown}, {made.train.x.shape[1]} steps: {path}")
        output.json({"task": task, "samples": counts, "classes": made.classes})
