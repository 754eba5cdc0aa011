"""Find the weights in what a file holds: a state dict, bare, nested, or beside others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from neurossm.errors import FormatError, InputError
from neurossm.importers.network import prefixes
from neurossm.importers.recognise import SAVE_ANEW
from neurossm.importers.tidy import Tidied, plain_name, tidy

_MAX_DEPTH = 4
_SHOWN_KEYS = 6


class Foreign:
    """Stands for an object whose class is not loaded."""

    name: ClassVar[str] = ""

    def __new__(cls, *_: Any, **__: Any) -> Foreign:
        """Take any arguments; run nothing."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *_: Any, **__: Any) -> Foreign:
        """Stand for the result, too."""
        return self

    def __setitem__(self, *_: Any) -> None: ...

    def append(self, _: Any) -> None:
        """Drop what the file adds."""

    def extend(self, _: Any) -> None:
        """Drop what the file adds."""


def find_weights(content: Any, path: Path, which: str | None) -> Tidied:
    """Return the one set of weights that is a network of a known project.

    Parameters
    ----------
    content
        What the file holds.
    path
        The file, for messages.
    which
        The set to take, where there are several: where it stands, or what its names begin with.

    Raises
    ------
    InputError
        If there are several and `which` names none of them.
    FormatError
        If there is none.
    """
    sets = dict(_networks(content))
    if not sets:
        raise FormatError(f"{path}: {_nothing(content)}")
    if which is None and len(sets) == 1:
        return tidy(_tensors_only(next(iter(sets.values())), path))
    if which not in sets:
        said = "holds several sets of weights" if len(sets) > 1 else "holds one set of weights"
        given = "" if which is None else f"--which {which}: "
        raise InputError(f"{path}: {given}{said}; give --which {' or '.join(sets)}")
    return tidy(_tensors_only(sets[which], path))


def _networks(content: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every set of weights in nested dicts that looks like a network, and where it is."""
    if not isinstance(content, dict) or depth > _MAX_DEPTH:
        return
    if any(isinstance(value, Tensor) for value in content.values()):
        names = {plain_name(key): key for key in content if isinstance(key, str)}
        found = prefixes(names)
        for prefix in found:
            label = ".".join(part for part in (place, prefix.rstrip(".")) if part) or "weights"
            if len(found) == 1:
                yield place or "weights", content
            else:
                yield label, {key: content[key] for key in _under(prefix, found, names)}
    for key, value in content.items():
        yield from _networks(value, f"{place}.{key}" if place else str(key), depth + 1)


def _under(prefix: str, all_of_them: list[str], names: Mapping[str, str]) -> list[str]:
    others = [other for other in all_of_them if other != prefix and other.startswith(prefix)]
    return [
        key
        for name, key in names.items()
        if name.startswith(prefix) and not any(name.startswith(other) for other in others)
    ]


def _nothing(content: Any) -> str:
    keys, objects = _seen(content)
    if keys:
        more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
        return (
            "no key begins with model.layers.0., s4_layers.0. or snn.0., bare or after a prefix; "
            "no network of the official code, state-spaces/s4, SpikingSSM or SpArch; its keys are "
            f"{', '.join(keys[:_SHOWN_KEYS])}{more}"
        )
    if objects:
        return (
            f"holds a pickled object ({objects[0]}), not loaded because that could run code; "
            f"{SAVE_ANEW}"
        )
    return "holds no state dict, bare or inside of dicts"


def _seen(content: Any, place: str = "", depth: int = 0) -> tuple[list[str], list[str]]:
    """Return the keys of all tensors, and the classes of all objects that were not loaded."""
    if isinstance(content, Tensor):
        return ([place] if place else []), []
    if isinstance(content, Foreign):
        return [], [type(content).name]
    keys: list[str] = []
    objects: list[str] = []
    if isinstance(content, dict) and depth <= _MAX_DEPTH:
        for key, value in content.items():
            inner = _seen(value, f"{place}.{key}" if place else str(key), depth + 1)
            keys, objects = keys + inner[0], objects + inner[1]
    return keys, objects


def _tensors_only(state: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    for key, value in state.items():
        if not isinstance(key, str) or (
            not isinstance(value, Tensor) and not isinstance(value, Mapping)
        ):
            kind = type(value).name if isinstance(value, Foreign) else type(value).__name__
            raise FormatError(f"{path}: {key} of the state dict is no tensor but {kind}")
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}
