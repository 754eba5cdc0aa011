"""ListOps against hand-made expressions, an evaluator of its own and the published definition."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest

from neurossm.errors import FormatError, InputError
from neurossm.train.tasks.listops import (
    FILES,
    VOCABULARY,
    evaluated,
    expressions,
    generated_listops,
    read_listops,
)

NUMBERS = {token: number for number, token in enumerate(VOCABULARY)}
MEANINGS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(statistics.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def value_of(text: str) -> int:
    found = np.array([[NUMBERS[token] for token in text.split()]], np.uint8)
    return int(evaluated(found, np.array([found.shape[1]]))[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[MIN 4 2 9 ]", 2),
        ("[MAX 4 2 9 ]", 9),
        ("[MED 4 2 9 ]", 4),
        ("[MED 1 2 ]", 1),  # 1.5, rounded down
        ("[MED 9 3 5 8 ]", 6),  # (5 + 8) / 2 = 6.5
        ("[SM 4 2 9 ]", 5),  # 15
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),  # the example of the Long Range Arena
        ("[SM [MAX 8 3 ] [SM 9 9 ] [MED 0 [MIN 7 6 ] 1 ] ]", 7),  # 8 + 8 + 1
        ("", -1),
        ("]", -1),
        ("1 2", -1),
        ("[MIN ]", -1),
        ("[MIN 1 2", -1),
        ("[MIN 1 ] 2 ]", -1),
        ("[MIN 1 ] ]", -1),
    ],
)
def test_values_by_hand(text: str, value: int) -> None:
    assert value_of(text) == value


def tree(tokens: list[str], level: int, levels: list[int], arguments: list[int]) -> int:
    """Consume an expression and return its value; note levels and numbers of arguments."""
    token = tokens.pop(0)
    levels.append(level)
    if token.isdigit():
        return int(token)
    values = []
    while tokens[0] != "]":
        values.append(tree(tokens, level + 1, levels, arguments))
    tokens.pop(0)
    arguments.append(len(values))
    return MEANINGS[token](values)


def test_generated_expressions_are_the_published_ones() -> None:
    x, y, lengths = expressions(40, 0)
    assert 500 < lengths.min() <= lengths.max() < 2000
    levels: list[int] = []
    arguments: list[int] = []
    for row, value, length in zip(x, y, lengths, strict=True):
        tokens = [VOCABULARY[token] for token in row[:length]]
        assert tree(tokens, 1, levels, arguments) == value
        assert not tokens
        assert not row[length:].any()
    assert max(levels) == 10
    assert set(arguments) == set(range(2, 11))
    counts = np.bincount(np.concatenate([r[:n] for r, n in zip(x, lengths, strict=True)]))
    digits, operations = counts[:10], counts[10:14]
    assert abs(digits / digits.sum() - 0.1).max() < 0.01
    assert abs(operations / operations.sum() - 0.25).max() < 0.02
    assert counts[14] == operations.sum()


def test_shares_of_the_definition() -> None:
    """With digits alone at level 2, an expression has 1 token, or 4 to 12."""
    _, _, lengths = expressions(40_000, 1, shortest=0, deepest=2)
    shares = np.bincount(lengths, minlength=13) / 40_000
    assert shares[1] == pytest.approx(0.75, abs=0.01)
    assert shares[4:13] == pytest.approx([0.25 / 9] * 9, abs=0.004)


def test_parts_differ_and_the_first_ones_stay() -> None:
    few, more = generated_listops(limit=3), generated_listops(limit=5)
    for part in ("train", "held_out", "test"):
        first, again = getattr(few, part), getattr(more, part)
        assert first.x.equal(again.x[:3])
        assert first.y.equal(again.y[:3])
    rows = {
        row.numpy().tobytes()
        for task in (more, generated_listops(1, 5))
        for part in (task.train, task.held_out, task.test)
        for row in part.x
    }
    assert len(rows) == 30
    assert (more.input.size, more.classes, more.train.x.shape[1]) == (15, 10, 2000)


def write(folder: Path, *lines: str) -> Path:
    for name in FILES:
        (folder / name).write_text("\n".join(("Source\tTarget", *lines)) + "\n")
    return folder


def test_published_files(tmp_path: Path) -> None:
    write(tmp_path, "( ( ( [MAX 4 ) ( ( ( [MIN 7 ) 2 ) ] ) ) ] )\t4", "[SM 9 9 ]\t8")
    task = read_listops(tmp_path)
    assert task.train.y.tolist() == [4, 8]
    assert task.train.lengths is not None
    assert task.train.lengths.tolist() == [7, 4]
    tokens = [VOCABULARY[token] for token in task.test.x[0, :7]]
    assert tokens == ["[MAX", "4", "[MIN", "7", "2", "]", "]"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[MAX 4 5 ]\t4", "line 3: the expression has not the value it states"),
        ("[MAX 4 5\t5", "line 3: the expression has not the value"),
        ("[AVG 4 5 ]\t4", r"line 3: expected an expression, a tab and its value from 0 to 9"),
        ("[MAX 4 5 ]", "line 3: expected"),
        ("[MAX 4 5 ]\t]", "line 3: expected"),
        ("\t5", "line 3: expected"),
    ],
)
def test_damaged_files(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_listops(write(tmp_path, "[SM 9 9 ]\t8", line))


def test_missing_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"basic_train\.tsv: no such file"):
        read_listops(tmp_path)
    (tmp_path / FILES[0]).write_text("a\tb\n")
    with pytest.raises(FormatError, match="its header is not Source, Target"):
        read_listops(tmp_path)
