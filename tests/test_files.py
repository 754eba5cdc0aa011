from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurossm.errors import InputError
from neurossm.files import atomic_path, require_writable, sha256_of


@pytest.fixture
def umask() -> Iterator[int]:
    mask = 0o027
    old = os.umask(mask)
    yield mask
    os.umask(old)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_file_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "model.loihi2-sim.h5"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".h5"
    assert _names(tmp_path) == {"model.loihi2-sim.h5"}
    assert target.read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert _names(tmp_path) == {"out.json"}
    assert target.read_text() == "old"


@pytest.mark.usefixtures("umask")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "out.npz"):
        pass
    # 0o666 & ~0o027 = 0o640
    assert (tmp_path / "out.npz").stat().st_mode & 0o777 == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real" / "target.txt")
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "target.txt").read_text() == "new"


def test_a_relative_path_survives_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with atomic_path("out.txt") as temporary:
        os.chdir("elsewhere")
        temporary.write_text("here")
    assert (tmp_path / "out.txt").read_text() == "here"


@pytest.mark.parametrize("check", [require_writable, lambda path: atomic_path(path).__enter__()])
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("missing/out.h5", r"missing does not exist; create it first$"),
        ("file/out.h5", r"file does not exist; create it first$"),
        ("folder", r"folder: is a folder; name a file to write$"),
        ("pipe", r"pipe: is not a regular file; name a file to write$"),
    ],
)
def test_a_bad_path_is_one_clear_line(
    tmp_path: Path, check: Callable[[Path], object], path: str, problem: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=problem) as caught:
        check(tmp_path / path)
    assert "\n" not in str(caught.value)
    assert _names(tmp_path) == {"file", "folder", "pipe"}


@pytest.mark.parametrize(
    ("denied", "problem"), [(".", "is not writable$"), ("out.h5", "is write-protected; ")]
)
def test_a_protected_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str, problem: str
) -> None:
    (tmp_path / "out.h5").touch()
    # Root may write anywhere, so the answer is staged rather than the permission bits.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / denied)
    with pytest.raises(InputError, match=problem):
        require_writable(tmp_path / "out.h5")


def test_a_name_too_long_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: File name too long$"):
        require_writable(tmp_path / ("x" * 300))


def test_a_full_disk_is_an_input_error(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(InputError, match=r"out\.h5: cannot be written: No space left on device$"),
        atomic_path(tmp_path / "out.h5"),
    ):
        raise full
    assert _names(tmp_path) == set()


def test_a_block_that_removes_its_file_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="nothing was written"),
        atomic_path(tmp_path / "out.h5") as temporary,
    ):
        temporary.unlink()


def test_sha256_of_known_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == expected


def test_sha256_of_more_than_one_chunk(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 1_000_000)
    # FIPS 180-2, appendix B.3: one million times "a"
    expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    assert sha256_of(tmp_path / "a") == expected


def test_sha256_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: no such file"):
        sha256_of(tmp_path / "nothing")


def test_what_a_killed_process_left_goes_with_the_next_write_to_the_same_file(tmp_path):
    script = """
import os, signal, sys
from neurossm.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    target, other = tmp_path / "a.h5", tmp_path / "b.h5"
    for path in (target, target, other):
        ended = subprocess.run([sys.executable, "-c", script, str(path)], timeout=60)
        assert ended.returncode == -9
    assert len(list(tmp_path.iterdir())) == 2  # the second write to a.h5 removed the first's
    with atomic_path(target) as temporary:
        with atomic_path(target) as living:  # of a process that runs
            living.write_text("first")
            assert temporary.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    left = [path.name for path in tmp_path.iterdir() if path != target]
    assert len(left) == 1  # that of b.h5 stays until b.h5 is written
    with atomic_path(other) as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5"]
