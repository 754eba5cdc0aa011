"""Damaged programs and float graphs: bytes with and without fitting checksums, and their parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mutations import FLOATS, INTEGERS, TEXTS, Random, hostile, mutate_bytes, mutate_text, pick

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("single", "soft-resets", "binary-tokens", "neurons")
SEAL = 82


class _Files:
    """Files of one schema."""

    suffix = ".h5"

    def __init__(self, folder: Path) -> None:
        from neurossm.program import Program

        self.bases: list[Path] = []
        for name in NAMES:
            program = Program.load(GOLDEN / f"{name}.h5")
            path = folder / f"base-{name}.h5"
            self.save(program, path)
            self.bases.append(path)

    def save(self, program: Any, path: Path) -> None:
        raise NotImplementedError

    def make(self, rng: Random, folder: Path) -> Path:
        from neurossm.storage import checksums

        path = folder / "case.h5"
        content = pick(rng, self.bases).read_bytes()
        way = rng.random()
        if way < 0.4:  # what a bad disk or a broken transfer does
            path.write_bytes(mutate_bytes(rng, content))
        elif way < 0.95:  # what another program would write
            path.write_bytes(content[:-SEAL])
            with h5py.File(path, "r+", track_order=True) as file:
                for _ in range(int(rng.integers(1, 4))):
                    _change(rng, file)
                file.attrs["content_sha256"] = checksums.content_digest(file)
                if rng.random() < 0.1:
                    _link(rng, pick(rng, _groups(file)))
            checksums.append(path)
        else:  # bytes that only the HDF5 library can judge, some with a checksum that fits
            path.write_bytes(mutate_bytes(rng, content[:-SEAL], most=2))
            if way > 0.98:
                checksums.append(path)
        return path


class Programs(_Files):
    def save(self, program: Any, path: Path) -> None:
        program.save(path)

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.cost import profile
        from neurossm.inspection import inspect
        from neurossm.program import Program

        inspect(path)
        program = Program.load(path)
        x = _samples(rng, program.input)
        program.run(x, "reference")
        if rng.random() < 0.3:
            profile(program, x, engine="reference")
            program.emit(path.parent / "emitted", name="case")


class Graphs(_Files):
    def save(self, program: Any, path: Path) -> None:
        program.graph.save(path)

    def read(self, path: Path, rng: Random) -> None:
        from neurossm.compile import compile_model
        from neurossm.graph import Graph
        from neurossm.graph.evaluate import evaluate
        from neurossm.inspection import inspect

        inspect(path)
        graph = Graph.load(path)
        evaluate(graph, _samples(rng, graph.input))
        if rng.random() < 0.2:
            compile_model(graph)


def _samples(rng: Random, spec: Any) -> Any:
    """Return two samples of three steps that suit an input, if any can be so small."""
    channels = 1 if spec.kind == "tokens" else min(spec.size, 1 << 16)
    if spec.kind == "uint8":
        return rng.integers(0, 256, (2, 3, channels), dtype=np.uint8)
    if spec.kind == "float":
        return np.full((2, 3, channels), spec.low)
    return np.zeros((2, 3, channels), np.int64)


def _objects(file: h5py.File) -> list[Any]:
    found: list[Any] = [file]
    file.visititems(lambda _, item: found.append(item))
    return found


def _groups(file: h5py.File) -> list[Any]:
    return [item for item in _objects(file) if isinstance(item, h5py.Group)]


def _change(rng: Random, file: h5py.File) -> None:
    item = pick(rng, _objects(file))
    if isinstance(item, h5py.Dataset):
        pick(rng, (_values, _values, _values, _replace, _remove, _rename))(rng, item)
    elif item.attrs and rng.random() < 0.6:
        _attribute(rng, item)
    else:
        pick(rng, (_remove, _rename, _add, _copy))(rng, item)


def _attribute(rng: Random, item: Any) -> None:
    name = pick(rng, list(item.attrs))
    way = int(rng.integers(8))
    if way == 0:
        del item.attrs[name]
    elif way == 1:
        _put(item.attrs, pick(rng, ("x", "é", "type", "bits", "name")), hostile(rng))
    elif way == 2:
        _put(item.attrs, name, rng.integers(-9, 9, pick(rng, ((), (2,), (0,), (3, 1)))))
    elif way < 6 and isinstance(item.attrs[name], (int, np.integer)):
        _put(item.attrs, name, int(item.attrs[name]) + int(pick(rng, (-1, 1, 2, 8, 62, -64))))
    else:
        _put(item.attrs, name, hostile(rng))


def _put(attrs: Any, name: str, value: Any) -> None:
    """Set an attribute to anything; what HDF5 cannot hold becomes text."""
    try:
        attrs[name] = value
    except (TypeError, ValueError, OverflowError, OSError, RecursionError):
        attrs[name] = str(value)[:1000].replace("\0", "")


def _values(rng: Random, data: Any) -> None:
    """Change single values and keep type and shape."""
    if data.dtype.kind == "O":
        text = mutate_text(rng, str(data.asstr()[()])).decode(errors="replace")
        data[()] = text.replace("\0", "")
        return
    array = np.array(data[()])
    flat = array.reshape(-1)
    for _ in range(int(pick(rng, (1, 1, 3, 50)))):
        if flat.size:
            at = int(rng.integers(flat.size))
            if array.dtype.kind in "iu":
                info = np.iinfo(array.dtype)
                near = int(flat[at]) + int(pick(rng, (-1, 1, 64, -64)))
                value = near if rng.random() < 0.4 else pick(rng, INTEGERS)
                flat[at] = min(max(value, info.min), info.max)
            else:
                flat[at] = pick(rng, FLOATS)
    data[()] = array


def _replace(rng: Random, data: Any) -> None:
    """Store another type or shape under the same name."""
    group, name = data.parent, data.name.rpartition("/")[2]
    array = np.zeros(3) if data.dtype.kind == "O" else np.array(data[()])
    shapes = (
        lambda: array[..., None],
        lambda: array.reshape(-1),
        lambda: array.T,
        lambda: np.zeros((0, *array.shape[1:]), array.dtype),
        lambda: np.concatenate([array.reshape(-1)] * 2),
        lambda: array.astype("f8"),
        lambda: array.astype("i1"),
        lambda: array.astype("c16"),
        lambda: array.astype("?"),
        lambda: array.astype("S2"),
        lambda: array.astype("f8") + pick(rng, FLOATS),
        lambda: np.full((1,) * array.ndim, 7, "u8"),
        lambda: np.int64(pick(rng, (0, 1, -1, 2**62))),
        lambda: pick(rng, TEXTS).replace("\0", ""),
    )
    with np.errstate(all="ignore"):
        value = pick(rng, shapes)()
    del group[name]
    group[name] = value


def _remove(rng: Random, item: Any) -> None:
    if item.name != "/":
        del item.parent[item.name.rpartition("/")[2]]


def _rename(rng: Random, item: Any) -> None:
    if item.name == "/":
        return
    name = pick(rng, ("x", "é", "blocks.0", "input", "decoder", "a" * 300))
    if name not in item.parent:
        item.parent.move(item.name.rpartition("/")[2], name)


def _add(rng: Random, group: Any) -> None:
    name = pick(rng, ("x", "type", "é", "weight", "inputs"))
    if name not in group:
        pick(rng, (lambda: group.create_group(name), lambda: group.__setitem__(name, [1, 2])))()


def _copy(rng: Random, group: Any) -> None:
    other = pick(rng, _objects(group.file))
    if other.name != "/" and "copy" not in group and not group.name.startswith(other.name):
        group.file.copy(other, group, "copy")


def _link(rng: Random, group: Any) -> None:
    links = (
        h5py.ExternalLink("/dev/zero", "/"),
        h5py.ExternalLink("base-single.h5", "/ops"),
        h5py.SoftLink("/graph"),
        h5py.SoftLink("/nowhere"),
        group,
    )
    name = pick(rng, [*group, "x"])
    if name in group:
        del group[name]
    group[name] = pick(rng, links)
