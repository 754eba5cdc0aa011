from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurossm.errors import FormatError, InputError
from neurossm.train.tasks.image import CLASSES, TEST_BATCHES, TRAIN_BATCHES, grey, image


def pictures(count: int, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def test_grey_by_hand() -> None:
    # 0.299, 0.587 and 0.114 times 255 are 76.2, 149.7 and 29.1
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [7, 7, 7]], np.uint8)
    assert grey(rgb).tolist() == [76, 150, 29, 255, 7]


def write_batches(folder: Path) -> None:
    for number, name in enumerate((*TRAIN_BATCHES, *TEST_BATCHES)):
        planes = pictures(10, number).transpose(0, 3, 1, 2).reshape(10, -1)
        labels = np.arange(10, dtype=np.uint8)[::-1, None]
        (folder / name).write_bytes(np.hstack([labels, planes]).tobytes())


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_binary_batches(tmp_path: Path, inner: str) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    write_batches(tmp_path / inner)
    task = image(tmp_path, pictures=6)
    assert [len(part) for part in (task.train, task.held_out, task.test)] == [50, 0, 10]
    assert task.train.y[:10].tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    wanted = pictures(10, 1)[3]  # the fourth picture of the second batch
    found = task.train.x[13].numpy().reshape(32, 32)
    assert found[5, 9] == grey(wanted[5, 9])
    assert (found == grey(wanted)).all()
    assert (task.image_side, task.input.kind, task.classes) == (32, "uint8", 10)


def test_files_of_pictures(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    shown = pictures(20, 0)
    for part in ("train", "test"):
        for y, name in enumerate(CLASSES):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(2):
                path = tmp_path / part / name / f"{number}.png"
                pil.fromarray(shown[2 * y + number]).save(path)
    task = image(tmp_path, limit=12)
    assert task.train.y.tolist() == [*range(10), 0, 1]  # the classes in turn
    for row, number in ((0, 0), (3, 6), (11, 3)):
        luminance = np.asarray(pil.fromarray(shown[number]).convert("L"))
        assert (task.test.x[row].numpy().reshape(32, 32) == luminance).all()
    with pytest.raises(FormatError, match="2 to 2 pictures of a class .* published with 5000"):
        image(tmp_path)
    pil.fromarray(shown[0, :16]).save(tmp_path / "train/airplane/0.png")
    with pytest.raises(FormatError, match=r"0\.png: 32 x 16 pixels, not 32 x 32"):
        image(tmp_path, limit=12)
    (tmp_path / "train/airplane/0.png").write_bytes(b"no picture")
    with pytest.raises(FormatError, match=r"0\.png: no readable picture"):
        image(tmp_path, limit=12)


def test_what_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither test_batch\.bin .* nor train/CLASS"):
        image(tmp_path)
    write_batches(tmp_path)
    with pytest.raises(FormatError, match="5 to 5 pictures of a class .* published with 5000"):
        image(tmp_path)
    (tmp_path / TRAIN_BATCHES[4]).unlink()
    with pytest.raises(InputError, match=r"data_batch_5\.bin: no such file"):
        image(tmp_path, pictures=6)
    (tmp_path / TRAIN_BATCHES[4]).write_bytes(bytes(3072))
    with pytest.raises(FormatError, match="3072 bytes are no records of 3,073"):
        image(tmp_path, pictures=6)
    (tmp_path / TRAIN_BATCHES[4]).write_bytes(b"\x0a" + bytes(3072))
    with pytest.raises(FormatError, match="holds the class 10"):
        image(tmp_path, pictures=6)
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match=r"train/airplane: no such folder"):
        image(tmp_path)
