"""A task from arrays: DATA.npz as `neurossm run` takes it, with labels, or as `data` writes it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurossm.errors import InputError
from neurossm.files import as_path
from neurossm.models.config import InputSpec
from neurossm.npz import read_npz
from neurossm.train.prepared import Description, read_description, read_order
from neurossm.train.tasks import Samples, Task

_CLASSES = 1 << 16
_HOW = "--input float:LOW:HIGH, counts:HIGH, tokens, or uint8"


@dataclass(frozen=True)
class _Arrays:
    """What a file holds; x is (samples, steps, values), or (samples, steps)."""

    path: str
    x: NDArray[Any]
    y: NDArray[Any]
    lengths: NDArray[Any] | None
    described: Description | None
    order: Tensor | None


def array_task(
    data: str | os.PathLike[str], test: str | os.PathLike[str] | None, given: str | None
) -> Task:
    """Return the task of telling the classes of a user's samples apart.

    Parameters
    ----------
    data, test
        Files with x (samples, steps, values), or (samples, steps) for tokens or one value a step;
        class numbers y (samples), or (samples, steps) for a class at every step; and, where samples
        end early, lengths (samples): their steps.
        A file that `write_task` made brings its parts, a test file replaces its own test samples;
        else nothing is held out, and nothing tested without a test file.
    given
        What x is, as ``--input`` says it; None: what the file says, or bytes, which x then must be.

    Raises
    ------
    InputError
        If arrays are missing, or do not fit each other or the input.
    FormatError
        If a file is no .npz file.
    """
    files = [_read(data)] if test is None else [_read(data), _read(test)]
    described = files[0].described
    spec = _spec(given or (described.input if described else None), files)
    classes = described.classes if described else int(files[0].y.max()) + 1
    train, *rest = (_samples(file, spec, classes) for file in files)
    if described is None:
        nothing = train.take(slice(0))
        return Task("arrays", spec, classes, train, nothing, rest[0] if rest else nothing)
    train, held_out, own = described.cut(train)
    return Task(
        described.name,
        spec,
        classes,
        train,
        held_out,
        rest[0] if rest else own,
        described.image_side,
        files[0].order,
    )


def _read(path: str | os.PathLike[str]) -> _Arrays:
    found, _ = read_npz(as_path(path, "data"), ("x", "y"), ("lengths", "task", "order"))
    x, y, lengths = found["x"], found["y"], found.get("lengths")
    if x.ndim not in (2, 3) or not x.size:
        raise InputError(f"{path}: x is {x.shape}; expected (samples, steps, values)")
    for name, values in (("y", y), ("lengths", lengths)):
        shapes = ((len(x),), x.shape[:2]) if name == "y" else ((len(x),),)
        if values is not None and (values.shape not in shapes or values.dtype.kind not in "iu"):
            raise InputError(
                f"{path}: {name} is {values.dtype} {values.shape}; expected {len(x)} integers"
            )
    if lengths is not None and not 1 <= lengths.min() <= lengths.max() <= x.shape[1]:
        raise InputError(
            f"{path}: lengths from {lengths.min()} to {lengths.max()}; x has {x.shape[1]} steps"
        )
    if lengths is not None:  # what stands behind the end may be anything, NaN too
        x = x.copy()
        behind = np.arange(x.shape[1]) >= lengths[:, None]
        x[behind] = x[0, 0]
        if y.ndim > 1:
            y = np.where(behind, 0, y)
    if y.min() < 0 or y.max() >= _CLASSES:
        raise InputError(
            f"{path}: y reaches from {y.min()} to {y.max()}; classes are counted from 0, and "
            f"there are at most {_CLASSES:,}"
        )
    described = read_description(found["task"], str(path), len(x)) if "task" in found else None
    order = read_order(found.get("order"), str(path), x.shape[1])
    return _Arrays(str(path), x, y, lengths, described, order)


def _spec(given: str | None, files: list[_Arrays]) -> InputSpec:
    x = files[0].x
    size = x.shape[2] if x.ndim == 3 else 1
    low, high = min(f.x.min() for f in files), max(f.x.max() for f in files)
    if given is None:
        if x.dtype == np.uint8:
            return InputSpec.uint8(size)
        raise InputError(
            f"{files[0].path}: x is {x.dtype} from {low:g} to {high:g}: say what it is by {_HOW}"
        )
    kind, *rest = given.split(":")
    try:
        if kind == "float" and len(rest) == 2:
            spec = InputSpec.real(size, float(rest[0]), float(rest[1]))
        elif kind == "counts" and len(rest) == 1:
            spec = InputSpec.counts(size, int(rest[0]))
        elif kind == "tokens" and len(rest) < 2:
            spec = InputSpec.tokens(int(rest[0]) if rest else int(high) + 1)
        elif kind == "uint8" and not rest:
            spec = InputSpec.uint8(size)
        else:
            raise ValueError
    except ValueError:
        raise InputError(f"--input {given}: not understood; expected {_HOW}") from None
    if not spec.low <= low <= high <= spec.high:  # NaN, too
        raise InputError(f"--input {given}: x goes from {low:g} to {high:g}")
    return spec


def _samples(file: _Arrays, spec: InputSpec, classes: int) -> Samples:
    x = file.x
    good = {"float": "f", "uint8": "u", "tokens": "iu", "counts": "iu"}[spec.kind]
    if x.dtype.kind not in good or (spec.kind == "uint8" and x.dtype != np.uint8):
        raise InputError(f"{file.path}: x is {x.dtype}; the input is {spec.kind}")
    if spec.kind == "tokens":
        if x.ndim == 3:
            raise InputError(f"{file.path}: x is {x.shape}; tokens are (samples, steps)")
    else:
        x = x if x.ndim == 3 else x[:, :, None]
        if x.shape[2] != spec.size:
            raise InputError(f"{file.path}: x has {x.shape[2]} values a step, not {spec.size}")
    if file.y.max() >= classes:
        raise InputError(f"{file.path}: y holds {file.y.max()}; there are {classes} classes")
    kind: Any = {"float": np.float32, "uint8": np.uint8}.get(spec.kind, np.int64)
    if spec.kind == "tokens":  # kept narrow: long tasks stay small in a GPU's memory
        kind = next(t for t in (np.uint8, np.int16, np.int64) if spec.high <= np.iinfo(t).max)
    lengths = None if file.lengths is None else torch.from_numpy(file.lengths.astype(np.int64))
    return Samples(
        torch.from_numpy(np.ascontiguousarray(x, kind)),
        torch.from_numpy(file.y.astype(np.int64)),
        lengths,
    )
