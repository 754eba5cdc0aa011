from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from neurossm.errors import FormatError, InputError
from neurossm.train.tasks.mnist import read_idx, sequential_mnist
from neurossm.train.tasks.token_order import token_order

HEADER = bytes([0, 0, 8, 2]) + (2).to_bytes(4, "big") + (3).to_bytes(4, "big")


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, packed: bool) -> None:
    content = HEADER + bytes(range(6))
    if packed:
        (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    else:
        (tmp_path / "a").write_bytes(content)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x0d\x01" + bytes(4), "not an IDX file of bytes"),
        (HEADER + bytes(5), r"5 bytes of data, the header says \(2, 3\)"),
    ],
)
def test_damaged_idx(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        read_idx(tmp_path / "a")


def test_damaged_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(HEADER + bytes(6))[:-9])
    with pytest.raises(FormatError, match=r"a\.gz"):
        read_idx(tmp_path / "a")


def test_other_files_are_not_taken_for_mnist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: no such file.*--data"):
        sequential_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(HEADER + bytes(6))
    with pytest.raises(FormatError, match="not the original MNIST file"):
        sequential_mnist(tmp_path)


def test_mnist_is_split_and_flattened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(5 * 784, dtype=np.uint32).astype(np.uint8).reshape(5, 28, 28)
    arrays = iter([images, np.arange(5), images[:2], np.arange(2)])
    monkeypatch.setattr("neurossm.train.tasks.mnist.read_idx", lambda *_: next(arrays))
    task = sequential_mnist(tmp_path, held_out=2)
    assert [len(part) for part in (task.train, task.held_out, task.test)] == [3, 2, 2]
    assert task.held_out.y.tolist() == [3, 4]  # the last ones of the file
    assert task.train.x.shape == (3, 784, 1)
    assert task.train.x.dtype == torch.uint8
    assert int(task.train.x[1, 2 * 28 + 5, 0]) == images[1, 2, 5]  # row by row


def test_token_order() -> None:
    task = token_order(length=20, vocabulary=5, samples=80)
    assert [len(part) for part in (task.train, task.held_out, task.test)] == [60, 10, 10]
    for part in (task.train, task.held_out, task.test):
        for x, y in zip(part.x.tolist(), part.y.tolist(), strict=True):
            assert x.count(0) == x.count(1) == 1
            assert y == int(x.index(1) < x.index(0))
    assert set(task.train.y.tolist()) == {0, 1}
    assert torch.equal(task.train.x, token_order(20, 5, 80).train.x)
