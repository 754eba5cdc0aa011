"""The samples of a whole task in one DATA.npz: what `neurossm data` writes and training reads.

The arrays are those of any DATA.npz (x, y, lengths), the samples of the three parts one after the
other; an entry ``task``, text in JSON, says what they are::

    name        the task
    input       as --input says it
    classes     how many there are
    parts       numbers of samples to train on, to hold out and to test on
    image_side  of sequences that are rows of square images

An array ``order`` says which pixel comes at each step, where they do not come row by row.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from neurossm.errors import FormatError, InputError
from neurossm.files import atomic_path
from neurossm.models.config import InputSpec
from neurossm.train.tasks import Samples, Task

Part = Literal["all", "train", "held-out", "test"]
PARTS: tuple[Part, ...] = ("all", "train", "held-out", "test")
Packing = Literal["none", "zlib", "bzip2"]
PACKINGS: dict[Packing, int] = {
    "none": zipfile.ZIP_STORED,
    "zlib": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
}


@dataclass(frozen=True)
class Description:
    """What a prepared file says of its samples; the fields are those of its JSON."""

    name: str
    input: str
    classes: int
    parts: tuple[int, int, int]
    image_side: int | None = None

    def cut(self, samples: Samples) -> tuple[Samples, Samples, Samples]:
        """Return the three parts of a file's samples."""
        train, held_out, _ = self.parts
        middle = train + held_out
        return (
            samples.take(slice(train)),
            samples.take(slice(train, middle)),
            samples.take(slice(middle, None)),
        )


def write_task(
    path: str | os.PathLike[str], task: Task, part: Part = "all", packing: Packing = "zlib"
) -> None:
    """Write a task's samples, whole or not at all.

    Parameters
    ----------
    path
        The file.
    task
        Its samples are written as they are.
    part
        Which of them; a file of one part can be run and verified on.
    packing
        ``bzip2`` is the smallest and slowest, ``none`` the largest and quickest.

    Raises
    ------
    InputError
        If the part has no samples, or the file cannot be written.
    """
    nothing = task.train.take(slice(0))
    parts = dict(zip(PARTS[1:], (task.train, task.held_out, task.test), strict=True))
    kept = [parts[name] if part in ("all", name) else nothing for name in PARTS[1:]]
    if not any(len(samples) for samples in kept):
        raise InputError(f"task {task.name}: has no samples of the part {part}")
    together = kept[0].joined(kept[1]).joined(kept[2])
    train, held_out, test = (len(samples) for samples in kept)
    described = Description(
        task.name, _spoken(task.input), task.classes, (train, held_out, test), task.image_side
    )
    arrays: dict[str, NDArray[Any]] = {"x": together.x.numpy(), "y": together.y.numpy()}
    if together.lengths is not None:
        arrays["lengths"] = together.lengths.numpy()
    if task.order is not None:
        arrays["order"] = task.order.numpy()
    arrays["task"] = np.array(json.dumps(asdict(described)))
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", PACKINGS[packing]) as archive,
    ):
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)  # type: ignore[no-untyped-call]


def read_description(text: NDArray[Any], where: str, samples: int) -> Description:
    """Return what a prepared file says of its samples.

    Raises
    ------
    FormatError
        If it is none, or speaks of other numbers of samples than there are.
    """
    try:
        values = json.loads(str(text))
        found = Description(**{**values, "parts": tuple(values["parts"])})
    except (ValueError, TypeError, KeyError) as error:
        names = ", ".join(field.name for field in fields(Description))
        raise FormatError(f"{where}: its entry task is no JSON with {names}") from error
    counts = [count for count in found.parts if type(count) is int and count >= 0]
    if len(counts) != 3 or sum(counts) != samples:
        raise FormatError(f"{where}: task: parts {found.parts} of {samples} samples")
    if type(found.classes) is not int or found.classes < 1:
        raise FormatError(f"{where}: task: classes {found.classes!r} is no number of classes")
    return found


def read_order(order: NDArray[Any] | None, where: str, steps: int) -> torch.Tensor | None:
    """Return which pixel comes at each step.

    Raises
    ------
    FormatError
        If it is no order of so many.
    """
    if order is None:
        return None
    if order.shape != (steps,) or not np.array_equal(np.sort(order), np.arange(steps)):
        raise FormatError(f"{where}: order is no permutation of {steps} steps")
    return torch.from_numpy(order.astype(np.int64))


def _spoken(spec: InputSpec) -> str:
    """Return an input as --input says it."""
    return {
        "uint8": "uint8",
        "tokens": f"tokens:{spec.size}",
        "counts": f"counts:{spec.high:g}",
        "float": f"float:{spec.low!r}:{spec.high!r}",
    }[spec.kind]
