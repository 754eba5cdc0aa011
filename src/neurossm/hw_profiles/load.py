"""Find a profile by name or path and read it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Protocol

from neurossm.errors import FormatError, InputError
from neurossm.files import as_path, read_text
from neurossm.hw_profiles.profile import Profile
from neurossm.hw_profiles.schema import read_profile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SUFFIX = ".toml"


def known_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with the package, sorted."""
    folder = resources.files(__package__)
    files = (entry.name for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files))


def targets(*others: str | os.PathLike[str]) -> tuple[Profile, ...]:
    """Return the profiles that come with the package, then others that a user names."""
    return tuple(load_profile(name) for name in (*known_profiles(), *others))


def load_profile(name_or_path: str | os.PathLike[str] | Profile) -> Profile:
    """Read a hardware profile.

    Parameters
    ----------
    name_or_path
        A name of `known_profiles`, or the path of a TOML file: anything with a folder or the
        suffix `.toml`; or a profile already read.

    Raises
    ------
    InputError
        There is no such profile or file.
    FormatError
        The file is not a profile: the message names file, table and key.
    """
    if isinstance(name_or_path, Profile):
        return name_or_path
    as_path(name_or_path, "target")
    text = os.fspath(name_or_path)
    if text in known_profiles():
        return _shipped(text)
    path = Path(text)
    if path.suffix != _SUFFIX and path.name == text:
        raise InputError(
            f"target {text!r} is unknown; known: {', '.join(known_profiles())}, "
            "or a profile of your own as FILE.toml"
        )
    return parse_profile(read_text(path, "TOML"), text)


@lru_cache
def _shipped(name: str) -> Profile:
    content = resources.files(__package__).joinpath(name + _SUFFIX).read_text("utf-8")
    return parse_profile(content, name + _SUFFIX)


class Compiled(Protocol):
    """A program, as far as its target goes."""

    @property
    def target(self) -> str:
        """Name of the profile it was compiled for."""

    @property
    def profile(self) -> str | None:
        """The profile's text; None where the program does not carry it."""


def profile_of(program: Compiled) -> Profile:
    """Return the profile a program was compiled for: the one it carries, or else by its name.

    Raises
    ------
    InputError
        It carries none, and there is none of its name.
    FormatError
        What it carries is no profile.
    """
    if program.profile is None:
        return load_profile(program.target)
    return parse_profile(program.profile, f"target {program.target!r}, inside the program")


def parse_profile(text: str, where: str) -> Profile:
    """Read a profile's text; FormatError, which begins with `where`, says what is wrong."""
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of too many digits
        raise FormatError(f"{where}: not a TOML file: {error}") from None
    return replace(read_profile(tables, where), text=text)
