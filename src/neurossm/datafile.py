"""Read samples from `DATA.npz` and write results to `OUT.npz`."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.errors import FormatError, InputError
from neurossm.files import atomic_path
from neurossm.program import Program, Run


@dataclass(frozen=True, eq=False)
class Data:
    """Samples and, where known, their labels.

    Parameters
    ----------
    x
        (samples, L, size), or (samples, L) for one channel or tokens.
    y
        (samples) class numbers, or None.
    where
        The file's name, for messages.
    """

    x: NDArray[np.generic]
    y: IntArray | None
    where: str

    def limited(self, limit: int | None) -> Data:
        """Return the first `limit` samples; all of them for None.

        Raises
        ------
        InputError
            The limit is less than one, or more than there are samples.
        """
        if limit is None:
            return self
        if not 1 <= limit <= len(self.x):
            raise InputError(
                f"{self.where}: --limit {limit}, but the file holds {len(self.x)} samples; "
                f"give a number from 1 to {len(self.x)}"
            )
        return Data(self.x[:limit], None if self.y is None else self.y[:limit], self.where)

    def check_labels(self, classes: int) -> None:
        """Raise InputError if a label is no class of a model with so many."""
        if self.y is not None and (self.y.min() < 0 or self.y.max() >= classes):
            raise InputError(
                f"{self.where}: labels reach from {self.y.min()} to {self.y.max()}; the model has "
                f"classes 0 to {classes - 1}"
            )


def load_data(path: str | Path) -> Data:
    """Read `x` and, if there, `y` from an npz file; no code in it is ever run.

    Raises
    ------
    InputError
        No such file, no `x`, or labels that do not fit.
    FormatError
        Not an npz file, truncated, or holding pickled objects.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        # NumPy leaves a file it opened itself open when it turns out to be truncated
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FormatError(f"{path}: a single array; expected an .npz file with x")
            if "x" not in archive.files:
                found = ", ".join(archive.files) or "nothing"
                raise InputError(f"{path}: holds {found}; expected samples under the name x")
            x = archive["x"]
            y = archive["y"] if "y" in archive.files else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: not a readable .npz file: {reason}") from error
    return Data(x, None if y is None else _labels(y, len(x) if x.ndim else 0, path), str(path))


def _labels(y: NDArray[np.generic], samples: int, path: Path) -> IntArray:
    if y.ndim != 1 or y.dtype.kind not in "iu" or len(y) != samples:
        raise InputError(
            f"{path}: labels y have shape {y.shape} and dtype {y.dtype}; "
            f"expected ({samples},) integers, one per sample"
        )
    return y.astype(np.int64)


def save_logits(path: str | Path, program: Program, run: Run) -> None:
    """Write logits, their exponent and the predictions: `value = logits * 2**-logits_exponent`."""
    with atomic_path(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            logits=run.logits,
            logits_exponent=np.int64(program.readout.out.exponent[0]),
            prediction=run.logits.argmax(axis=1),
        )
