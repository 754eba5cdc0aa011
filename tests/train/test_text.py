from __future__ import annotations

from pathlib import Path

import pytest

from neurossm.errors import FormatError, InputError
from neurossm.train.tasks.text import text


def write(root: Path) -> Path:
    for part in ("train", "test"):
        for name in ("neg", "pos"):
            folder = root / "aclImdb" / part / name
            folder.mkdir(parents=True)
            for number in (10, 9):
                (folder / f"{number}_7.txt").write_bytes(f"{name} {number} café".encode())
    return root


@pytest.mark.parametrize("inner", ["", "aclImdb"])
def test_reviews_by_bytes(tmp_path: Path, inner: str) -> None:
    task = text(write(tmp_path) / inner, steps=8, reviews=2)
    assert [len(part) for part in (task.train, task.held_out, task.test)] == [4, 0, 4]
    assert task.train.y.tolist() == [0, 1, 0, 1]
    found = [bytes(row[:n].tolist()) for row, n in zip(task.test.x, task.test.lengths, strict=True)]  # type: ignore[arg-type]
    assert found == [b"neg 9 ca", b"pos 9 ca", b"neg 10 c", b"pos 10 c"]
    assert (task.input.kind, task.input.size, task.classes) == ("tokens", 256, 2)


def test_short_reviews_end_early(tmp_path: Path) -> None:
    task = text(write(tmp_path), limit=3, steps=20, reviews=2)
    assert task.train.lengths is not None
    assert task.train.lengths.tolist() == [11, 11, 12]  # é is two bytes
    assert bytes(task.train.x[0].tolist()) == "neg 9 café".encode() + bytes(9)


def test_what_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train/neg: no such folder; --data names aclImdb"):
        text(tmp_path)
    write(tmp_path)
    with pytest.raises(FormatError, match=r"holds 2 reviews \(\.txt\); 12500 were published"):
        text(tmp_path)
    file = tmp_path / "aclImdb/train/pos/9_7.txt"
    file.write_bytes(b"")
    with pytest.raises(FormatError, match=r"9_7\.txt: an empty review"):
        text(tmp_path, reviews=2)
    file.rename(file.with_name("a.txt"))
    with pytest.raises(FormatError, match=r"names of reviews are NUMBER_RATING\.txt"):
        text(tmp_path, reviews=2)
