"""Records in HDF5 files: written whole, read back equal, refused in one line."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from neurossm.arrays import same
from neurossm.errors import FormatError, InputError
from neurossm.graph import Graph
from neurossm.program import Program
from neurossm.storage import (
    is_hdf5,
    read_file,
    read_json_object,
    read_record,
    schema_of,
    seal,
    subgroup,
    write_file,
    write_json,
    write_record,
)


@dataclass(frozen=True, eq=False)
class Inner:
    flag: bool
    values: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Outer:
    text: str
    names: tuple[str, ...]
    number: float
    count: int
    inner: Inner
    weights: NDArray[np.complex128]
    maybe: NDArray[np.float64] | None


def example(maybe=None) -> Outer:
    inner = Inner(True, np.array([[-(2**62), 3]]))
    return Outer("ü\n", ("a", "b.c"), 0.1, -7, inner, np.full((40, 40), 1 - 2j), maybe)


def save(path, record, schema="test", version=1):
    write_file(path, schema, version, lambda file: write_record(file.create_group("r"), record))


def load(path, kind=Outer):
    return read_file(path, "test", 1, lambda file: read_record(file["r"], kind))


@pytest.mark.parametrize("maybe", [None, np.array([1.5, -0.0])])
def test_a_record_is_read_back_bit_for_bit(tmp_path, maybe):
    record = example(maybe)
    save(tmp_path / "r.h5", record)
    assert same(load(tmp_path / "r.h5"), record)


def test_the_file_is_plain_hdf5(tmp_path):
    save(tmp_path / "r.h5", example())
    with h5py.File(tmp_path / "r.h5") as file:
        assert set(file.attrs) == {"schema", "version", "content_sha256"}
        assert (file.attrs["schema"], file.attrs["version"]) == ("test", 1)
        group = file["r"]
        assert group.attrs["number"] == 0.1
        assert group.attrs["names"] == '["a", "b.c"]'
        assert group["inner/values"][()].tolist() == [[-(2**62), 3]]
        assert group["weights"].dtype == np.complex128
        assert "maybe" not in group


def test_writing_fails_whole(tmp_path):
    def fill(file):
        file["x"] = 1
        raise InputError("no")

    path = tmp_path / "r.h5"
    save(path, example())
    before = path.read_bytes()
    with pytest.raises(InputError, match="no"):
        write_file(path, "test", 1, fill)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_schema_of(tmp_path):
    save(tmp_path / "r.h5", example())
    assert schema_of(tmp_path / "r.h5") == "test"
    assert schema_of(tmp_path / "missing.h5") is None
    assert schema_of(tmp_path) is None
    (tmp_path / "text").write_text("x")
    assert schema_of(tmp_path / "text") is None


def test_is_hdf5_looks_at_the_first_bytes(tmp_path):
    save(tmp_path / "r.h5", example())
    assert is_hdf5(tmp_path / "r.h5")
    (tmp_path / "cut").write_bytes((tmp_path / "r.h5").read_bytes()[:100])
    assert is_hdf5(tmp_path / "cut")
    assert schema_of(tmp_path / "cut") is None
    (tmp_path / "text").write_text("x")
    for name in ("text", "missing", "."):
        assert not is_hdf5(tmp_path / name)


def test_older_versions_are_read_and_newer_refused(tmp_path):
    path = tmp_path / "r.h5"
    save(path, example(), version=3)
    assert read_file(path, "test", 3, list) == ["r"]
    assert read_file(path, "test", 4, list) == ["r"]
    with pytest.raises(FormatError, match="version 3 is newer than version 2, .*; upgrade"):
        read_file(path, "test", 2, list)


def test_errors_of_the_reader_name_the_file_once(tmp_path):
    path = tmp_path / "r.h5"
    save(path, example())
    for error in (InputError("odd"), FormatError("odd"), KeyError("odd"), ValueError("odd\nvalue")):
        with pytest.raises(FormatError) as caught:
            read_file(path, "test", 1, Mock(side_effect=error))
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert text.count(str(path)) == 1
        assert "odd" in text
        assert "\n" not in text


def test_a_bug_is_not_taken_for_damage(tmp_path):
    save(tmp_path / "r.h5", example())
    for error in (ZeroDivisionError, AttributeError, NameError):
        with pytest.raises(error):
            read_file(tmp_path / "r.h5", "test", 1, Mock(side_effect=error))


@pytest.mark.parametrize("kind", [Graph, Program])
def test_what_a_caller_does_with_a_file_is_no_part_of_reading_it(kind, small_program, tmp_path):
    program = small_program()
    (program if kind is Program else program.graph).save(tmp_path / "r.h5")
    with pytest.raises(AttributeError, match="nonsense"):
        kind.load(tmp_path / "r.h5").nonsense  # noqa: B018


@pytest.mark.parametrize("kind", [Graph, Program])
@pytest.mark.parametrize("path", [3, None, b"program.h5", ["program.h5"], "a\0b"])
def test_what_is_no_path_is_refused(kind, path, small_program):
    program = small_program()
    for call in (kind.load, (program if kind is Program else program.graph).save):
        with pytest.raises(InputError, match=r"path"):
            call(path)


def test_json_may_be_long(tmp_path):
    value = {"text": "ü" * 100_000, "list": [1, 2.5, None, True]}
    write_file(tmp_path / "j.h5", "test", 1, lambda file: write_json(file, "j", value))
    found = read_file(tmp_path / "j.h5", "test", 1, lambda file: read_json_object(file, "j"))
    assert found == value


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: None, "text 'j' is missing"),
        (lambda f: f.create_dataset("j", data="[1]"), "'j' is no JSON object"),
        (lambda f: f.create_dataset("j", data="{"), "damaged test file"),
        (lambda f: f.create_dataset("j", data=np.zeros(3)), "text 'j' is missing"),
        (lambda f: f.create_dataset("j", data=1), "damaged test file"),
        (lambda f: f.create_group("j"), "text 'j' is missing"),
    ],
)
def test_bad_json(tmp_path, write, message):
    write_file(tmp_path / "j.h5", "test", 1, write)
    with pytest.raises(FormatError, match=message):
        read_file(tmp_path / "j.h5", "test", 1, lambda file: read_json_object(file, "j"))


def test_a_group_must_be_there(tmp_path):
    write_file(tmp_path / "g.h5", "test", 1, lambda f: f.create_dataset("a/b", data=1))
    assert read_file(tmp_path / "g.h5", "test", 1, lambda f: list(subgroup(f, "a"))) == ["b"]
    for name in ("b", "nothing"):
        with pytest.raises(FormatError, match=f"a: group '{name}' is missing"):
            read_file(tmp_path / "g.h5", "test", 1, lambda f, name=name: subgroup(f["a"], name))


def edit(where, name, value):
    def change(group):
        target = group[where] if where else group
        holder = target if name in target else target.attrs
        if name in holder:
            del holder[name]
        if isinstance(value, np.ndarray):
            target[name] = value
        elif value is not None:
            target.attrs[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("", "number", None), "r: field 'number' is missing"),
        (edit("", "number", "x"), "r: field 'number' is 'x', expected one float"),
        (edit("", "number", np.nan), "field 'number' is nan, expected one float"),
        (edit("", "number", np.inf), "field 'number' is inf"),
        (edit("", "number", True), "field 'number' is True, expected one float"),
        (edit("", "number", np.array([0.5])), "field 'number' is None"),
        (edit("", "count", 1.0), "field 'count' is 1.0, expected one int"),
        (edit("", "text", 5), "field 'text' is 5, expected one str"),
        (edit("", "text", b"\xff"), "damaged test file"),
        (edit("", "names", "{}"), "expected a list of names"),
        (edit("", "names", 3), "expected a list of names"),
        (edit("", "extra", 1), "r: unknown field 'extra'"),
        (edit("", "weights", None), "r: field 'weights' is missing"),
        (edit("", "weights", np.array(["a"], "S1")), "'weights' is not a numeric array"),
        (edit("inner", "flag", 1), "r/inner: field 'flag' is 1, expected one bool"),
        (edit("inner", "values", None), "r/inner: field 'values' is missing"),
        (lambda group: group.move("inner", "other"), "unknown field 'other'"),
    ],
)
def test_bad_fields_are_refused(tmp_path, change, message):
    path = tmp_path / "r.h5"
    save(path, example())
    with h5py.File(path, "r+") as file:
        change(file["r"])
    seal(path)
    with pytest.raises(FormatError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_integers_are_accepted_as_floats(tmp_path):
    path = tmp_path / "r.h5"
    save(path, example())
    with h5py.File(path, "r+") as file:
        file["r"].attrs["number"] = 3
    seal(path)
    number = load(path).number
    assert number == 3.0
    assert isinstance(number, float)


# --- checksums and files of unknown origin ---


DAMAGED = Path(__file__).parent / "damaged"
"""Files of this package's schemas with a few bytes changed; see the README there."""


def test_every_changed_byte_is_noticed_before_hdf5_sees_it(tmp_path, monkeypatch):
    path = tmp_path / "r.h5"
    save(path, example())
    content = path.read_bytes()
    monkeypatch.setattr(h5py, "File", None)  # nothing may be parsed
    end = len(content) - 82
    for position in (*range(8, end, max(end // 200, 1)), len(content) - 2):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(FormatError, match=r"r\.h5: damaged: .*SHA-256 differs"):
            load(path)


def test_the_checksum_is_that_of_the_bytes_before_it(tmp_path):
    path = tmp_path / "r.h5"
    save(path, example())
    content = path.read_bytes()
    digest = hashlib.sha256(content[:-82]).hexdigest()
    assert content[-82:] == f"\nneurossm-sha256:{digest}\n".encode()


def test_the_same_content_stored_anew_is_read_and_a_changed_one_refused(tmp_path):
    path, copy = tmp_path / "r.h5", tmp_path / "copy.h5"
    save(path, example())
    with h5py.File(path) as old, h5py.File(copy, "w", track_order=True) as new:
        for name, value in old.attrs.items():
            new.attrs[name] = value
        old.copy("r", new)
    assert same(load(copy), example())
    with h5py.File(copy, "r+") as file:
        file["r"].attrs["number"] = 0.25
    with pytest.raises(FormatError, match=r"copy\.h5: was changed after it was written"):
        load(copy)


def test_a_file_of_an_older_version_is_read_with_a_note(tmp_path, caplog):
    path = tmp_path / "old.h5"
    save(path, example())
    with h5py.File(path, "r+") as file:
        del file.attrs["content_sha256"]
    assert same(load(path), example())
    (note,) = caplog.records
    assert note.getMessage() == (
        f"{path}: carries no checksum (an older neurossm wrote it), so damage may go unnoticed; "
        "write it anew with this version"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crash.graph.h5", "the HDF5 library crashes on it"),
        ("crash.program.h5", "the HDF5 library crashes on it"),
        ("endless.graph.h5", "does not come to an end"),
    ],
)
def test_files_that_crash_the_hdf5_library_are_refused(name, message):
    with pytest.raises(FormatError, match=message):
        read_file(DAMAGED / name, "neurossm-graph", 1, lambda file: None)


def _foreign(path, fill):
    with h5py.File(path, "w") as file:
        file.attrs["schema"], file.attrs["version"] = "test", 1
        fill(file, path)


def _virtual(file, path):
    layout = h5py.VirtualLayout((2,), "i8")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "x", (2,))
    file.create_virtual_dataset("x", layout)


FOREIGN = {
    "external link": (
        lambda f, p: f.__setitem__("x", h5py.ExternalLink("other.h5", "x")),
        "/x is a link to elsewhere",
    ),
    "soft link": (
        lambda f, p: f.__setitem__("x", h5py.SoftLink("/r")),
        "/x is a link to elsewhere",
    ),
    "circle": (lambda f, p: f.create_group("a").__setitem__("b", f["a"]), "under two names"),
    "virtual": (_virtual, "/x is a view of other datasets"),
    "external values": (
        lambda f, p: f.create_dataset("x", (8,), "u1", external=[("/dev/zero", 0, 8)]),
        "/x keeps its values in another file",
    ),
    "reference": (
        lambda f, p: f.create_dataset("x", data=f.ref, dtype=h5py.ref_dtype),
        "/x holds object values",
    ),
    "nothing stored": (
        lambda f, p: f.create_dataset("x", (1 << 29,), "f8", chunks=(1 << 20,)),
        "stores no value",
    ),
    "deep": (lambda f, p: f.create_group("/".join("g" * 40)), "32 deep"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_nothing_outside_the_file_and_no_bomb_is_read(tmp_path, kind):
    fill, message = FOREIGN[kind]
    path = tmp_path / "x.h5"
    _foreign(path, fill)
    with pytest.raises(FormatError, match=message) as caught:
        read_file(path, "test", 1, lambda file: None)
    assert "\n" not in str(caught.value)


def test_values_that_unpack_to_gigabytes_are_refused(tmp_path):
    path = tmp_path / "x.h5"
    _foreign(
        path,
        lambda f, p: f.create_dataset(
            "x", (1 << 27,), "f8", chunks=(1 << 24,), compression="gzip", fillvalue=0
        ).__setitem__(slice(0, 8), 1.0),
    )
    assert path.stat().st_size < 1 << 20
    with pytest.raises(FormatError, match="512 MB, the limit"):
        read_file(path, "test", 1, lambda file: None)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    path = {"device": Path("/dev/zero"), "folder": tmp_path}.get(kind, tmp_path / "pipe")
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(InputError, match="is a folder" if kind == "folder" else "is a pipe or a"):
        load(path)
    assert schema_of(path) is None


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    """Writing more than a limit on files allows fails as a full disk does."""
    script = f"""
import resource, signal, sys
from pathlib import Path
import numpy as np
from neurossm.errors import InputError
from neurossm.storage import write_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
def fill(file):
    rng = np.random.default_rng(0)
    for index in range(50):
        file.create_dataset(f"d{{index}}", data=rng.integers(0, 255, 2000), compression="gzip")
try:
    write_file(Path({str(tmp_path / "x.h5")!r}), "test", 1, fill)
except InputError as error:
    print(error)
"""
    for limit in (0, 100, 5_000, 20_000, 60_000):
        ended = subprocess.run(
            [sys.executable, "-c", script, str(limit)], capture_output=True, text=True, timeout=60
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith(f"{tmp_path / 'x.h5'}: cannot be written: ")
        assert list(tmp_path.iterdir()) == []
