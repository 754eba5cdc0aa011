"""ListOps: nested lists of digits under MIN, MAX, MED and SM, whose value is to be told.

After Nangia and Bowman (2018) in the form of the Long Range Arena: a node above the deepest level
is an operation with probability 1/4, with 2 to 10 arguments, else a digit; SM is the sum modulo
10, MED the median, rounded down. Expressions of more than 500 and fewer than 2,000 tokens are kept.
Parentheses, which the published files hold besides, say nothing and are left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurossm.errors import FormatError
from neurossm.files import require_regular
from neurossm.jit import lazily
from neurossm.models.config import InputSpec
from neurossm.threads import in_threads
from neurossm.train.tasks.samples import Samples, Task

OPERATIONS = ("[MIN", "[MAX", "[MED", "[SM")
VOCABULARY = (*"0123456789", *OPERATIONS, "]")
"""The tokens by number; a digit's number is itself."""

SAMPLES = (96_000, 2_000, 2_000)
FILES = ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv")
DEEPEST = 10
MOST_ARGUMENTS = 10
STEPS = 2_000
SHORTEST = 500

_ROWS = 500
"""Expressions that a core draws or evaluates at a time."""
_IGNORED = str.maketrans("()", "  ")


def generated_listops(seed: int = 0, limit: int | None = None) -> Task:
    """Return ListOps with expressions drawn anew, the same ones for a seed on every machine.

    Parameters
    ----------
    seed
        Another one gives other expressions.
    limit
        At most so many of each part; they are the first ones of the whole part.
    """
    parts = []
    for number, count in enumerate(SAMPLES):
        count = count if limit is None else min(limit, count)
        parts.append(_part(*expressions(count, 3 * seed + number)))
    return _task(*parts)


def read_listops(folder: str | os.PathLike[str]) -> Task:
    """Return ListOps from its published files.

    Parameters
    ----------
    folder
        Where ``basic_train.tsv``, ``basic_val.tsv`` and ``basic_test.tsv`` are: a column Source
        with the expression, a column Target with its value.

    Raises
    ------
    InputError
        If a file is missing.
    FormatError
        If a line is no expression, or has another value than it says.
    """
    return _task(*(_part(*_read(Path(folder) / name)) for name in FILES))


def expressions(
    count: int,
    stream: int,
    shortest: int = SHORTEST,
    steps: int = STEPS,
    deepest: int = DEEPEST,
    most_arguments: int = MOST_ARGUMENTS,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Draw expressions.

    Parameters
    ----------
    count
        How many.
    stream
        Which random numbers they are drawn from.
    shortest, steps
        They have more than `shortest` and fewer than `steps` tokens.
    deepest
        Level at which only digits stand; the outermost operation is at level 1.
    most_arguments
        Of an operation.

    Returns
    -------
    tuple
        Tokens uint8 (count, steps), 0 behind the end; values (count); numbers of tokens (count).
    """
    x = np.zeros((count, steps), np.uint8)
    lengths = np.zeros(count, np.int64)

    def draw(part: slice) -> None:
        first = np.uint64((stream << 40) + part.start)
        _draw(x[part], lengths[part], first, shortest, deepest, most_arguments)

    _in_parts(draw, count)
    return x, evaluated(x, lengths), lengths


def evaluated(x: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the values (S) of expressions in tokens (S, steps); -1 for what is none."""
    found = np.full(len(x), -1, np.int64)
    _in_parts(lambda part: _evaluate(x[part], lengths[part], found[part]), len(x))
    return found


def _in_parts(function: Callable[[slice], None], count: int) -> None:
    """Work on rows in parts, on all cores."""
    parts = (slice(start, start + _ROWS) for start in range(0, count, _ROWS))
    for _ in in_threads(function, parts):
        pass


@lazily({"nogil": True})
def _draw(
    x: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    seed: np.uint64,
    shortest: int,
    deepest: int,
    most_arguments: int,
) -> None:
    """Fill each row with an expression; row i follows from seed + i alone.

    Random numbers are those of SplitMix64 (Steele, Lea and Flood 2014), three for each token.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    first, second = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
    s11, s27, s30, s31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
    steps = x.shape[1]
    for row in range(x.shape[0]):
        share = np.zeros(3)
        wanted = np.zeros(deepest, np.int64)  # arguments still to come, by level
        state = seed + np.uint64(row)
        state = (state ^ (state >> s30)) * first  # rows begin far apart in the generator's period
        state = (state ^ (state >> s27)) * second
        length = 0
        while not shortest < length < steps:
            length, level = 0, 0
            while length < steps:
                for k in range(3):
                    state += golden
                    z = (state ^ (state >> s30)) * first
                    z = (z ^ (z >> s27)) * second
                    share[k] = float((z ^ (z >> s31)) >> s11) * 2.0**-53
                if level + 1 < deepest and share[0] < 0.25:
                    x[row, length] = 10 + int(share[1] * 4)
                    wanted[level] = 2 + int(share[2] * (most_arguments - 1))
                    length, level = length + 1, level + 1
                    continue
                x[row, length] = int(share[1] * 10)
                length += 1
                while level > 0 and length < steps:
                    wanted[level - 1] -= 1
                    if wanted[level - 1] > 0:
                        break
                    x[row, length] = 14
                    length, level = length + 1, level - 1
                if level == 0:
                    break
        x[row, length:] = 0
        lengths[row] = length


@lazily({"nogil": True})
def _evaluate(x: NDArray[np.uint8], lengths: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Work through each row with a stack of operations and one of values."""
    for row in range(x.shape[0]):
        values = np.zeros(lengths[row] + 1, np.int64)
        begin = np.zeros(lengths[row] + 1, np.int64)  # where an open operation's values begin
        operation = np.zeros(lengths[row] + 1, np.int64)
        count, level, good = 0, 0, True
        for step in range(lengths[row]):
            token = x[row, step]
            good = good and (level > 0 or step == 0)
            if token < 10:
                values[count] = token
                count += 1
            elif token < 14:
                operation[level], begin[level] = token, count
                level += 1
            elif level == 0 or count == begin[level - 1]:
                good = False
                break
            else:
                level -= 1
                given = np.sort(values[begin[level] : count])
                if operation[level] == 10:
                    value = given[0]
                elif operation[level] == 11:
                    value = given[-1]
                elif operation[level] == 12:
                    value = (given[len(given) // 2] + given[(len(given) - 1) // 2]) // 2
                else:
                    value = given.sum() % 10
                values[begin[level]] = value
                count = begin[level] + 1
        if good and level == 0 and count == 1:
            found[row] = values[0]


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Read one published file."""
    require_regular(path)
    numbers = {token: number for number, token in enumerate(VOCABULARY)}
    rows: list[NDArray[np.uint8]] = []
    values: list[int] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        if file.readline().split() != ["Source", "Target"]:
            raise FormatError(f"{path}: not a file of ListOps: its header is not Source, Target")
        for number, line in enumerate(file, start=2):
            source, tab, target = line.rstrip("\n").partition("\t")
            tokens = source.translate(_IGNORED).split()
            try:
                if not tab or target not in VOCABULARY[:10] or not tokens:
                    raise KeyError
                rows.append(np.array([numbers[token] for token in tokens], np.uint8))
            except KeyError:
                raise FormatError(
                    f"{path}: line {number}: expected an expression, a tab and its value from 0 "
                    f"to 9, found {line[:40]!r}"
                ) from None
            values.append(int(target))
    lengths = np.array([len(row) for row in rows], np.int64)
    x = np.zeros((len(rows), max(STEPS, lengths.max(initial=0))), np.uint8)
    for row, tokens_ in enumerate(rows):
        x[row, : len(tokens_)] = tokens_
    y = np.array(values, np.int64)
    wrong = np.flatnonzero(evaluated(x, lengths) != y)
    if len(wrong):
        raise FormatError(
            f"{path}: line {wrong[0] + 2}: the expression has not the value it states"
        )
    return x, y, lengths


def _part(x: NDArray[np.uint8], y: NDArray[np.int64], lengths: NDArray[np.int64]) -> Samples:
    return Samples(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(lengths))


def _task(train: Samples, held_out: Samples, test: Samples) -> Task:
    return Task("listops", InputSpec.tokens(len(VOCABULARY)), 10, train, held_out, test)
