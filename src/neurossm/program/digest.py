"""A digest of what operations hold: every integer, claim and name."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np


def add(digest: hashlib._Hash, value: object) -> None:
    """Add a value with its type and size, so that two contents never give the same bytes."""
    if dataclasses.is_dataclass(value):
        add(digest, type(value).__name__)
        for field in dataclasses.fields(value):
            add(digest, field.name)
            add(digest, getattr(value, field.name))
        return
    if isinstance(value, np.ndarray):
        head, content = f"{value.dtype.str}{value.shape}", value.tobytes()
    elif isinstance(value, bytes):
        head, content = "bytes", value
    else:
        head, content = type(value).__name__, repr(value).encode("utf-8", "surrogatepass")
    digest.update(f"{head}:{len(content)}:".encode())
    digest.update(content)
