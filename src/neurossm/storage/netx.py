"""Network files of Lava's netx (`lava.lib.dl.netx`): what they hold, and what of it can be run.

A file has groups `layer/0`, `layer/1`, ... with a `type` each. A layer of ours has the type
"neurossm", the `shape` of what it sends, and `program`: the bytes of a program file; and `output`,
the tensor that it sends, where that is not the logits. Needs no Lava.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurossm.errors import FormatError, UnsupportedError
from neurossm.files import as_path, require_regular

OURS = "neurossm"
KNOWN = ("input", "flatten", "dense", "dense_rec", "conv", OURS)
NEURONS = ("LOIHI", "CUBA", "SDNN", "RF", "RF_PHASE")


@dataclass(frozen=True)
class NetxLayer:
    """A layer of a file: its type, its neuron's, its shape, and what it has besides."""

    number: int
    type: str
    neuron: str
    shape: tuple[int, ...]
    fields: Mapping[str, tuple[int, ...]]


def is_netx(path: Path) -> bool:
    """Tell whether a file is one of netx's."""
    try:
        with h5py.File(path, "r") as file:
            return isinstance(file.get("layer"), h5py.Group) and "0" in file["layer"]
    except OSError:
        return False


def read_layers(path: str | os.PathLike[str]) -> list[NetxLayer]:
    """Return the layers of a file in order; FormatError if it is none of netx's."""
    source = as_path(path, "netx file")
    require_regular(source)
    if not is_netx(source):
        raise FormatError(f"{source}: no netx file: it has no group layer/0")
    with h5py.File(source, "r") as file:
        group = file["layer"]
        return [_layer(int(n), group[n]) for n in sorted(group, key=int)]


def _layer(number: int, group: h5py.Group) -> NetxLayer:
    neuron = group.get("neuron")
    shape = group["shape"][()] if "shape" in group else ()
    fields = {
        name: item.shape
        for name, item in group.items()
        if isinstance(item, h5py.Dataset) and name not in ("type", "shape")
    }
    kind = _text(group.get("type"))
    spiking = _text(neuron.get("type")) if isinstance(neuron, h5py.Group) else ""
    return NetxLayer(number, kind, spiking, tuple(int(n) for n in np.ravel(shape)), fields)


def _text(item: Any) -> str:
    if item is None:
        return ""
    value = np.ravel(item[()])[0]
    return value.decode() if isinstance(value, bytes) else str(value)


def check_layers(path: str | os.PathLike[str]) -> list[NetxLayer]:
    """Return the layers of a file that can be run.

    Raises
    ------
    UnsupportedError
        Some cannot; the message lists them all.
    """
    layers = read_layers(path)
    wrong = [
        f"layer {one.number}: type {one.type!r}" for one in layers if one.type not in KNOWN
    ] + [
        f"layer {one.number}: neuron {one.neuron!r}"
        for one in layers
        if one.neuron and one.neuron not in NEURONS
    ]
    if wrong:
        raise UnsupportedError(
            f"{path}: netx does not run {'; '.join(wrong)} (layers: {', '.join(KNOWN)})"
        )
    return layers
