"""Read a ``.safetensors`` file: a length, a JSON header, and the numbers one after the other.

The header gives for each tensor its type, its shape and where its bytes lie. Nothing in such a file
can run; what is checked is that no entry points outside of it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurossm.errors import FormatError

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
_MAX_AXES = 16


def is_safetensors(path: Path) -> bool:
    """Tell whether a file begins as one: the length of a header that fits, then ``{``."""
    with open(path, "rb") as file:
        start = file.read(_LENGTH_BYTES + 1)
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    return start[_LENGTH_BYTES:] == b"{" and length <= path.stat().st_size - _LENGTH_BYTES


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises
    ------
    FormatError
        If the header is no JSON, or an entry is of a kind that is not known, contradicts its own
        shape or points outside of the file.
    """
    content = path.read_bytes()
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if length > min(len(content) - _LENGTH_BYTES, _MAX_HEADER_BYTES):
        raise FormatError(f"{path}: its header of {length} bytes is longer than the file")
    start = _LENGTH_BYTES + length
    try:
        header = json.loads(content[_LENGTH_BYTES:start].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: no .safetensors file: its header is no JSON") from error
    if not isinstance(header, dict):
        raise FormatError(f"{path}: no .safetensors file: its header has no names")
    data = memoryview(content)[start:]
    return {
        name: _tensor(f"{path}: {name}", entry, data)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _tensor(where: str, entry: Any, data: memoryview) -> Tensor:
    if not isinstance(entry, dict) or entry.get("dtype") not in _TYPES:
        kind = entry.get("dtype") if isinstance(entry, dict) else entry
        raise FormatError(f"{where}: type {kind}; known are {', '.join(_TYPES)}")
    kind = _TYPES[entry["dtype"]]
    shape, ends = _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    if shape is None or ends is None or len(ends) != 2 or len(shape) > _MAX_AXES:
        raise FormatError(f"{where}: shape and data_offsets are no lists of sizes")
    begin, end = ends
    size = math.prod(shape) * kind.itemsize
    if not begin <= end <= len(data) or end - begin != size:
        raise FormatError(
            f"{where}: bytes {begin} to {end} of {len(data)}, but shape {shape} takes {size} bytes"
        )
    if size == 0:
        return torch.empty(shape, dtype=kind)
    return torch.frombuffer(bytearray(data[begin:end]), dtype=kind).reshape(shape)


def _counts(values: Any) -> list[int] | None:
    right = isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)
    return values if right else None
