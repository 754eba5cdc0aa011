"""Reading .npz files: values equal, everything else refused in one line."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurossm.errors import FormatError, InputError, NeuroSSMError
from neurossm.npz import read_npz

ARRAYS = {
    "x": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(3, dtype=">i4"),
    "scalar": np.float32(1.5),
    "empty": np.zeros((0, 3), np.int64),
    "text": np.array(["a", "bc"]),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_bit_for_bit(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    found, names = read_npz(tmp_path / "a.npz", tuple(ARRAYS), ("more",))
    assert names == tuple(ARRAYS)
    assert set(found) == set(ARRAYS)
    for name, value in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()
        assert found[name].flags.writeable


def _zip(path: Path, content: bytes, name: str = "x.npy") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)


def _npy(value: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, value)
    return file.getvalue()


def _lying(path: Path) -> None:
    """A header that declares 8 TB."""
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(file, header)
    _zip(path, file.getvalue() + bytes(16))


def _encrypted(path: Path) -> None:
    _zip(path, _npy(np.zeros(3)))
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)


def _damaged(path: Path) -> None:
    np.savez_compressed(path, x=np.random.default_rng(0).random(999))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": ((1 << 30) + 1,)}
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(1 << 6):
            member.write(bytes(1 << 24))
        member.write(b"\0")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "pipe": (os.mkfifo, "is a pipe or a device"),
    "text": (lambda path: path.write_text("hello"), "not a readable .npz file"),
    "empty": (lambda path: path.write_bytes(b""), "not a readable .npz file"),
    "array": (lambda path: path.write_bytes(_npy(np.zeros(3))), r"a single array \(.npy\)"),
    "no x": (lambda path: np.savez(path, z=np.zeros(1)), "holds z; expected x"),
    "nothing": (lambda path: zipfile.ZipFile(path, "w").close(), "holds nothing; expected x"),
    "no npy": (lambda path: _zip(path, b"hello"), "magic string"),
    "objects": (lambda path: np.savez(path, x=np.array([{}], object)), "holds object values"),
    "dates": (lambda path: np.savez(path, x=np.zeros(1, "M8[s]")), "never read"),
    "record": (lambda path: np.savez(path, x=np.zeros(1, "i4,f4")), "never read"),
    "short": (lambda path: _zip(path, _npy(np.zeros(9))[:-8]), "damaged: holds other than"),
    "lying": (_lying, "damaged: holds other than"),
    "encrypted": (_encrypted, "save it without a password"),
    "damaged": (_damaged, "not a readable .npz file"),
    "bomb": (_bomb, "unpack to"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npz"
    make, message = BAD[kind]
    make(path)
    with pytest.raises(NeuroSSMError, match=message) as caught:
        read_npz(path, ("x",))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


def test_any_changed_byte_gives_the_same_array_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    x = np.arange(300, dtype=np.int16)
    np.savez_compressed(path, x=x)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(content)
        changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            found, _ = read_npz(path, ("x",))
        except (InputError, FormatError) as error:
            refused += "\n" not in str(error)
        else:
            np.testing.assert_array_equal(found["x"], x)
    assert refused > 200
