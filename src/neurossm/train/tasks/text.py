"""Text of the Long Range Arena: the sentiment of film reviews, read byte by byte (IMDB)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from neurossm.errors import FormatError, InputError
from neurossm.models.config import InputSpec
from neurossm.train.tasks.samples import Samples, Task

STEPS = 4_096
CLASSES = ("neg", "pos")
REVIEWS = 12_500
"""Of each class, to train on and to test on."""


def text(
    folder: str | os.PathLike[str],
    limit: int | None = None,
    steps: int = STEPS,
    reviews: int = REVIEWS,
) -> Task:
    """Return the task of telling favourable reviews (1) from unfavourable ones (0).

    Parameters
    ----------
    folder
        ``aclImdb`` as published (Maas et al. 2011), or the folder that holds it: ``train`` and
        ``test``, in each ``neg`` and ``pos``, in each a text file per review.
    limit
        At most so many samples in each part, of both classes in turn; None: all.
    steps
        Reviews are cut to their first so many bytes.
    reviews
        How many each of the four folders must hold.

    Returns
    -------
    Task
        The published training and test reviews; nothing is held out (``--validation`` does).

    Raises
    ------
    InputError
        If a folder is missing.
    FormatError
        If it holds other numbers of reviews, or an empty one.
    """
    root = Path(folder)
    root = root / "aclImdb" if (root / "aclImdb").is_dir() else root
    train, test = (_part(root / name, limit, steps, reviews) for name in ("train", "test"))
    return Task("text", InputSpec.tokens(256), 2, train, train.take(slice(0)), test)


def _part(folder: Path, limit: int | None, steps: int, reviews: int) -> Samples:
    """Read one part, its classes in turn, so that the first samples are some of both."""
    files = [_files(folder / name, reviews) for name in CLASSES]
    paths = [(path, y) for pair in zip(*files, strict=True) for y, path in enumerate(pair)][:limit]
    x = np.zeros((len(paths), steps), np.uint8)
    lengths = np.zeros(len(paths), np.int64)
    for row, (path, _) in enumerate(paths):
        with path.open("rb") as file:
            content = np.frombuffer(file.read(steps), np.uint8)
        if not content.size:
            raise FormatError(f"{path}: an empty review")
        lengths[row] = content.size
        x[row, : content.size] = content
    y = torch.tensor([y for _, y in paths])
    return Samples(torch.from_numpy(x), y, torch.from_numpy(lengths))


def _files(folder: Path, reviews: int) -> list[Path]:
    """Return the files of a class by their numbers: 10_9.txt is review 10."""
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; --data names aclImdb as published, with train and test, "
            "each with neg and pos"
        )
    paths = [path for path in folder.iterdir() if path.suffix == ".txt"]
    if len(paths) != reviews:
        raise FormatError(f"{folder}: holds {len(paths)} reviews (.txt); {reviews} were published")
    try:
        return sorted(paths, key=lambda path: int(path.stem.partition("_")[0]))
    except ValueError:
        raise FormatError(f"{folder}: names of reviews are NUMBER_RATING.txt") from None
