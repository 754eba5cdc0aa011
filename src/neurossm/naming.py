"""Names of nodes, operations and tensors, and what belongs to a layer."""

from __future__ import annotations

from neurossm.errors import InputError

SEPARATOR = ":"
"""Joins a user's name and what this package adds to it: "mixer:sum", "ssm:re".

Models' names must not hold it where new names are made of them (see `neurossm.compile`)."""


def check_name(name: str) -> None:
    """Refuse a name that cannot be a group of an HDF5 file.

    Raises
    ------
    InputError
        The name is empty, "." or "..", or holds a slash or a null character.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InputError(f"{name!r} cannot be a name: it must be text without slashes, not a dot")


def part_of(owner: str, part: str) -> str:
    """Return the name of something that belongs to `owner`: its sum, its drive, a state."""
    return f"{owner}{SEPARATOR}{part}"


def layer_in_version_1(name: str) -> str:
    """Return the layer of a node or an operation of a file of version 1, which had no such field.

    "blocks.3" for "blocks.3.ssm", "encoder" for itself.
    """
    first, *rest = name.split(".")
    return f"{first}.{rest[0]}" if rest and rest[0].isdigit() else first
