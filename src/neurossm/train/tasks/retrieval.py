"""Retrieval of the Long Range Arena: whether one paper cites another, byte by byte (AAN).

Pairs are no samples of one sequence, so that `neurossm train` does not take them: they are arrays
for a loop of one's own around `neurossm.models.towers.Towers`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neurossm.errors import FormatError, InputError

STEPS = 4_000
FILES = ("new_aan_pairs.train.tsv", "new_aan_pairs.eval.tsv", "new_aan_pairs.test.tsv")
"""To train on, to hold out and to test on."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts.

    Attributes
    ----------
    x
        uint8 (S, 2, L): bytes, 0 after a text's end.
    lengths
        int64 (S, 2): the bytes of each text, 1 to L.
    y
        int64 (S,): 1 if the two belong together.
    """

    x: Tensor
    lengths: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


def retrieval(
    folder: str | os.PathLike[str], limit: int | None = None, steps: int = STEPS
) -> tuple[Pairs, Pairs, Pairs]:
    """Read the pairs to train on, to hold out and to test on.

    Parameters
    ----------
    folder
        Where the three published files are. A line is a label, two names and two texts, with tabs
        between them and no header.
    limit
        At most so many pairs of each file; None: all.
    steps
        Texts are cut to their first so many bytes.

    Raises
    ------
    InputError
        If a file is missing.
    FormatError
        If a line is none of a pair.
    """
    train, held_out, test = (read_pairs(Path(folder) / name, limit, steps) for name in FILES)
    return train, held_out, test


def read_pairs(path: Path, limit: int | None = None, steps: int = STEPS) -> Pairs:
    """Read one file of pairs, see `retrieval`."""
    texts: list[bytes] = []
    labels: list[int] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if limit is not None and len(labels) == limit:
                    break
                label, pair = _pair(line, f"{path}: line {number}")
                labels.append(label)
                texts += [text[:steps] for text in pair]
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; the folder must hold {', '.join(FILES)} as published"
        ) from error
    if not labels:
        raise FormatError(f"{path}: holds no pairs")
    x = np.zeros((len(texts), steps), np.uint8)
    for row, text in enumerate(texts):
        x[row, : len(text)] = np.frombuffer(text, np.uint8)
    lengths = torch.tensor([len(text) for text in texts]).reshape(-1, 2)
    return Pairs(torch.from_numpy(x).reshape(-1, 2, steps), lengths, torch.tensor(labels))


def _pair(line: bytes, where: str) -> tuple[int, list[bytes]]:
    """Return the label and the two texts of a line."""
    fields = line.rstrip(b"\r\n").split(b"\t")
    if len(fields) != 5:
        raise FormatError(f"{where}: {len(fields)} fields; expected label, id1, id2, text1, text2")
    label = {b"0": 0, b"0.0": 0, b"1": 1, b"1.0": 1}.get(fields[0])
    if label is None:
        raise FormatError(f"{where}: label {fields[0][:20]!r}; expected 0 or 1")
    if not fields[3] or not fields[4]:
        raise FormatError(f"{where}: an empty text")
    return label, fields[3:]
