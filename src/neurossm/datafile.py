"""Read samples from `DATA.npz` and write results to `OUT.npz`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.files import as_path, atomic_path
from neurossm.graph.data import (
    DeclaredInput,
    check_labels,
    check_lengths,
    check_sequences,
    check_step_labels,
)
from neurossm.graph.sequences import Sequences
from neurossm.npz import read_npz
from neurossm.program import Program, Run

_OTHER_LABELS = ("labels", "label", "targets", "target", "Y")


@dataclass(frozen=True, eq=False)
class Data:
    """Samples, and where known their labels and lengths.

    Parameters
    ----------
    x
        (samples, L, size), or (samples, L) for one channel or tokens.
    y
        (samples) class numbers, or None.
    where
        The file's name, for messages.
    lengths
        (samples) valid steps of each, 1 to L; None where all have L.
    """

    x: NDArray[np.generic]
    y: IntArray | None = None
    where: str = "data"
    lengths: IntArray | None = None

    @property
    def sequences(self) -> Sequences:
        """The samples and their lengths alone."""
        return Sequences(self.x, self.lengths)

    def limited(self, limit: int | None) -> Data:
        """Return the first `limit` samples; all of them for None.

        Raises
        ------
        InputError
            The limit is less than one, or more than there are samples.
        """
        if limit is None:
            return self
        if not isinstance(limit, int) or not 1 <= limit <= len(self.x):
            raise InputError(
                f"{self.where}: limit {limit}, but there are {len(self.x)} samples; "
                f"give a number from 1 to {len(self.x)}"
            )
        y = None if self.y is None else self.y[:limit]
        lengths = None if self.lengths is None else self.lengths[:limit]
        return Data(self.x[:limit], y, self.where, lengths)


def load_data(path: str | os.PathLike[str]) -> Data:
    """Read `x` and, if there, `y` and `lengths` from an npz file; no code in it is ever run.

    Raises
    ------
    InputError
        No such file, no `x`, or labels or lengths that do not fit.
    FormatError
        Not an npz file, truncated, or holding pickled objects.
    """
    path = as_path(path, "data")
    found, names = read_npz(path, ("x",), ("y", "lengths"))
    other = next((name for name in _OTHER_LABELS if name in names), None)
    if other is not None and "y" not in found:
        raise InputError(
            f"{path}: holds {other} but no y; class numbers are read under the name y: "
            "save them as y, or leave them out"
        )
    x, y, lengths = found["x"], found.get("y"), found.get("lengths")
    if not x.shape or not x.shape[0]:
        raise InputError(f"{path}: x has shape {x.shape}: no samples")
    if y is not None:
        every_step = x.ndim > 1 and y.shape == x.shape[:2] and y.dtype.kind in "iu"
        y = y if every_step else check_labels(y, len(x), None, str(path))
    if lengths is not None:
        samples, steps = x.shape[:2] if x.ndim > 1 else (0, 0)
        lengths = check_lengths(lengths, samples, steps, str(path))
    return Data(x, y, str(path), lengths)


def samples_of(
    spec: DeclaredInput,
    classes: int,
    data: object,
    labels: object = None,
    limit: int | None = None,
    lengths: object = None,
    *,
    each: bool = False,
) -> Data:
    """Return samples that a user gave as a file or as arrays, checked against a model.

    Parameters
    ----------
    spec, classes
        The model's input, and its number of classes.
    data
        The path of a `DATA.npz`, what `load_data` made of one, or samples as `check_data` takes
        them.
    labels, lengths
        Class numbers as `check_labels` takes them, and valid steps as `check_lengths` does; None
        for none, or for those of the file.
    limit
        How many samples to take, the first ones; None for all.
    each
        Whether the model answers at every step, and labels are (samples, L).

    Returns
    -------
    Data
        With `x` (samples, L, channels).

    Raises
    ------
    InputError, FormatError
        As `load_data`, `check_sequences` and `check_labels`; or the limit does not suit.
    """
    if isinstance(data, (str, os.PathLike)):
        data = load_data(data)
    where = "data"
    if isinstance(data, Data):
        labels = data.y if labels is None else labels
        lengths = data.lengths if lengths is None else lengths
        where, data = data.where, data.x
    found = check_sequences(spec, data, lengths, where)  # type: ignore[arg-type]
    file = "" if where == "data" else where
    if labels is None:
        y = None
    elif each:
        y = check_step_labels(labels, found, classes, file)  # type: ignore[arg-type]
    else:
        y = check_labels(labels, len(found), classes, file)  # type: ignore[arg-type]
    return Data(found.x, y, where, found.lengths).limited(limit)


def save_logits(path: str | Path, program: Program, run: Run) -> None:
    """Write logits, their exponent and the predictions: `value = logits * 2**-logits_exponent`."""
    with atomic_path(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            logits=run.logits,
            logits_exponent=np.int64(program.readout.out.exponent[0]),
            prediction=run.logits.argmax(axis=-1),
        )
