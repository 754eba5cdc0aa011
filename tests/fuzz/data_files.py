"""Damaged samples: npz archives, single arrays, MNIST's IDX files, data.bin of emitted programs."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from mutations import FLOATS, INTEGERS, Random, mutate_bytes, pick

GOLDEN = Path(__file__).parents[1] / "golden"


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _other_header(rng: Random, content: bytes) -> bytes:
    """Let the header of an array declare something else; its length stays right."""
    length = int.from_bytes(content[8:10], "little")
    text = content[10 : 10 + length].decode("latin-1")
    shape = re.search(r"\([^)]*\)", text)
    shapes = (
        *("()", "(0,)", "(-1,)", "(3,)", "(1000000000,)", "(2, 2**70)", "(10**18, 10**18)", "x"),
        *("(99999999999999999999,)", "(True, 2)", "(1.0,)", "((1,),)", "(" * 300, "(1,) * 9"),
    )
    kinds = (
        *("'<f8'", "'>f8'", "'|O'", "'|V8'", "'<U9'", "'M8[s]'", "[('a', '<i4')]", "'<f2'"),
        *("'x'", "'|b1'", "'<c16'", "'<f16'", "'|S0'", "None", "'<i8,<i8'", "''", "'(2,)i4'"),
    )
    ways = (
        lambda: text.replace(shape[0] if shape else "()", pick(rng, shapes)),
        lambda: re.sub(r"'[<>|][^']*'", lambda _: pick(rng, kinds), text, count=1),
        lambda: text.replace("False", pick(rng, ("True", "None", "2", "[]"))),
        lambda: text.replace("{", pick(rng, ("", "{{", "[", "{'x': 1, ", "__import__('os'), {"))),
        lambda: mutate_bytes(rng, text.encode("latin-1")).decode("latin-1"),
        lambda: " " * 70_000,
    )
    changed = pick(rng, ways)().encode("latin-1", "replace")
    if len(changed) < 65_536:
        return content[:8] + len(changed).to_bytes(2, "little") + changed + content[10 + length :]
    version = content[:6] + b"\x02\x00"
    return version + len(changed).to_bytes(4, "little") + changed + content[10 + length :]


def _other_array(rng: Random, array: Any) -> bytes:
    flat = array.reshape(-1)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ways = (
            lambda: flat,
            lambda: array[..., None],
            lambda: array[:0],
            lambda: array[:, :0] if array.ndim > 1 else array[:0],
            lambda: array[0],
            lambda: np.asfortranarray(array),
            lambda: array.astype(
                pick(rng, ("f8", ">f4", "f2", "i1", "u8", "?", "c16", "S3", "U2"))
            ),
            lambda: np.where(rng.random(array.shape) < 0.1, pick(rng, FLOATS), array),
            lambda: np.full(array.shape, pick(rng, INTEGERS[:-1]) % 2**64, "u8"),
            lambda: np.zeros(array.shape, "M8[s]"),
            lambda: np.zeros(array.shape, "i4,f8"),
            lambda: np.int64(3),
            lambda: -array.astype("f8"),
        )
        return _npy(pick(rng, ways)())


def _zipped(rng: Random, members: dict[str, bytes]) -> bytes:
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2,
             zipfile.ZIP_LZMA)  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", pick(rng, kinds)) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return buffer.getvalue()


class Samples:
    """DATA.npz, as `run` and as `train` read it."""

    suffix = ".npz"

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        y, lengths = np.array([0, 2, 1, 1]), np.array([7, 1, 3, 7])
        kinds = (
            rng.integers(0, 256, (4, 7, 1), dtype=np.uint8),
            rng.integers(0, 9, (4, 7)),
            rng.uniform(-1, 1, (4, 7, 2)).astype("f4"),
        )
        self.bases = [{"x": x, "y": y, "lengths": lengths} for x in kinds]

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / "case.npz"
        arrays = pick(rng, self.bases)
        members = {f"{name}.npy": _npy(value) for name, value in arrays.items()}
        for _ in range(int(rng.integers(1, 3))):
            name = pick(rng, ("x", "y", "lengths"))
            way, key = rng.random(), f"{name}.npy"
            if way < 0.35 and key in members:
                members[key] = _other_array(rng, arrays[name])
            elif way < 0.55 and key in members:
                members[key] = _other_header(rng, members[key])
            elif way < 0.7 and key in members:
                members[key] = mutate_bytes(rng, members[key])
            elif way < 0.8 and members:
                other = pick(rng, ("y", "labels.npy", "lengths.npy", "x", "../x.npy", "a" * 300))
                members[other] = members.pop(key, b"")
        content = _zipped(rng, members)
        path.write_bytes(mutate_bytes(rng, content) if rng.random() < 0.35 else content)
        return path

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.datafile import samples_of
        from neurossm.models import InputSpec
        from neurossm.train.arrays import array_task

        specs = (InputSpec.uint8(), InputSpec.tokens(9), InputSpec.real(2, -1, 1))
        if rng.random() < 0.6:
            samples_of(pick(rng, specs), 3, path, limit=pick(rng, (None, 2)))
        else:
            given = pick(rng, (None, "tokens", "counts:9", "float:-1:1", "tokens:9"))
            array_task(path, None, given).holding_out(0.25)


class Arrays(Samples):
    """One array in an archive that is whole, or without one."""

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / "case.npz"
        arrays = pick(rng, self.bases)
        x = _npy(arrays["x"])
        ways = (_other_header, _other_header, mutate_bytes)
        x = pick(rng, ways)(rng, x)
        members = {name + ".npy": _npy(value) for name, value in arrays.items()}
        path.write_bytes(_zipped(rng, {**members, "x.npy": x}) if rng.random() < 0.9 else x)
        return path


class Idx:
    """MNIST's files, plain or packed."""

    suffix = ".idx"

    def __init__(self, folder: Path) -> None:
        images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
        head = b"\0\0\x08\x03" + np.array(images.shape, ">u4").tobytes()
        self.base = head + images.tobytes()

    def make(self, rng: Random, folder: Path) -> Path:
        for name in ("case", "case.gz"):
            (folder / name).unlink(missing_ok=True)
        content = self.base
        if rng.random() < 0.5:
            content = mutate_bytes(rng, content)
        else:
            sizes = [pick(rng, INTEGERS) % 2**32 for _ in range(int(rng.integers(0, 260)))]
            head = bytes([0, 0, pick(rng, (8, 8, 9, 0)), len(sizes) % 256])
            content = head + np.array(sizes, ">u4").tobytes() + content[16:]
        if rng.random() < 0.5:
            (folder / "case").write_bytes(content)
            return folder / "case"
        if rng.random() < 0.02:
            content = bytes(3 << 28)
        packed = gzip.compress(content, 1, mtime=0)
        if rng.random() < 0.5:
            packed = mutate_bytes(rng, packed)
        (folder / "case.gz").write_bytes(packed)
        return folder / "case.gz"

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.train.tasks.mnist import read_idx

        read_idx(path.with_suffix(""))


class Emitted:
    """What the emitted `main` reads; undefined behaviour of C ends it."""

    suffix = ".bin"

    def __init__(self, folder: Path) -> None:
        from neurossm.program import Program

        self.programs: list[tuple[Path, bytes]] = []
        flags = ["-std=c99", "-O1", "-g", "-w", "-fsanitize=address,undefined",
                 "-fno-sanitize-recover=all", "-DCASE_WATCH"]  # fmt: skip
        for name in ("single", "binary-tokens"):
            program = Program.load(GOLDEN / f"{name}.h5")
            with np.load(GOLDEN / f"{name}.npz") as stored:
                x = stored["data" if "data" in stored else "x"][:3, :9]
            own = folder / name
            program.emit(own, name="case", data=x)
            compiler = shutil.which("cc") or "gcc"
            sources = sorted(str(p) for p in own.glob("*.c") if p.name != "bench.c")
            subprocess.run([compiler, *flags, *sources, "-o", str(own / "run")], check=True)
            self.programs.append((own / "run", (own / "data.bin").read_bytes()))
        self.running = self.programs[0][0]

    def make(self, rng: Random, folder: Path) -> Path:
        self.running, content = pick(rng, self.programs)
        if rng.random() < 0.4:
            data = bytearray(content)
            at = int(pick(rng, (8, 12, 16, 20, 24, 28, 32, 36)))
            data[at : at + 4] = (pick(rng, INTEGERS) % 2**32).to_bytes(4, "little")
            content = bytes(data)
        else:
            content = mutate_bytes(rng, content)
        (folder / "case.bin").write_bytes(content)
        return folder / "case.bin"

    def read(self, path: Path, rng: Random) -> None:
        import resource

        from neurossm.errors import FormatError

        def unlimited() -> None:  # the sanitizer reserves address space
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

        ended = subprocess.run(
            [str(self.running), str(path)],
            capture_output=True,
            preexec_fn=unlimited,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
            check=False,
        )
        if ended.returncode == 2:
            raise FormatError(ended.stderr.decode(errors="replace").removesuffix("\n"))
        if ended.returncode not in (0, 1) or ended.stderr:
            raise RuntimeError(f"status {ended.returncode}: {ended.stderr[:1500]!r}")
