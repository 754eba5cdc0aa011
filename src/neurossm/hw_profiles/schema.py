"""Check a profile's tables against the records they become, and build them.

The records of `profile.py` are the schema: a key that is not a field is refused, and so is a value
of another type than the field's. Every message names the file, the table and the key.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from neurossm.errors import FormatError
from neurossm.hw_profiles.profile import (
    ArithmeticEnergy,
    Citation,
    EnergyPj,
    EventEnergy,
    Limits,
    Power,
    Profile,
    Proxy,
    Support,
)

Record = TypeVar("Record")

_NUMBERS: dict[str, type[Any]] = {
    "limits": Limits,
    "event_energy": EventEnergy,
    "arithmetic_energy": ArithmeticEnergy,
    "power": Power,
}
_WORDS: dict[str, type[Any]] = {"support": Support, "proxy": Proxy}
_TOP = ("name", "title", "summary")
_MINIMUM = "at_least"


def read_profile(tables: Mapping[str, Any], where: str) -> Profile:
    """Build a profile from parsed TOML.

    Raises
    ------
    FormatError
        A key is unknown, missing, without its unit, or its value is not what it must be.
    """
    known = (*_TOP, *_WORDS, *_NUMBERS, "source")
    for key in tables:
        if key not in known:
            raise FormatError(f"{where}: [{key}]: unknown table or key{_suggest(key, known)}")
    sources = _sources(_table(tables, "source", where), where)
    built: dict[str, Any] = {key: _text(tables.get(key), f"{where}: {key}") for key in _TOP}
    source_of: dict[str, str] = {}
    for name, kind in {**_WORDS, **_NUMBERS}.items():
        if name not in tables:
            built[name] = None
            continue
        content = dict(_table(tables, name, where))
        if name in _NUMBERS:
            source_of |= _take_sources(content, sources, f"{where}: [{name}]", name)
        built[name] = _record(kind, content, f"{where}: [{name}]")
    if built["support"] is None:
        raise FormatError(f"{where}: table [support] is missing")
    profile = Profile(**built, path=where, source=sources, source_of=source_of)
    _check_whole(profile, where)
    return profile


def _check_whole(profile: Profile, where: str) -> None:
    support, limits = profile.support, profile.limits
    if support.compile and limits is None:
        raise FormatError(f"{where}: [support] compile: true, but there is no table [limits]")
    if not (support.compile and support.profile) and support.reason is None:
        raise FormatError(f"{where}: [support] reason: missing; say what is not supported and why")
    if limits is not None and limits.synapse_memory_bytes > limits.core_memory_bytes:
        raise FormatError(
            f"{where}: [limits] synapse_memory_bytes: {limits.synapse_memory_bytes} is more than "
            f"core_memory_bytes = {limits.core_memory_bytes}"
        )
    if profile.proxy is not None and (profile.event_energy or profile.arithmetic_energy):
        raise FormatError(f"{where}: [proxy]: the profile has energies of its own; remove one")


def _table(tables: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    content = tables.get(name, {})
    if not isinstance(content, dict):
        raise FormatError(f"{where}: {name}: {_shown(content)}, expected a table [{name}]")
    return content


def _sources(table: Mapping[str, Any], where: str) -> dict[str, Citation]:
    sources = {}
    for key, content in table.items():
        place = f"{where}: [source.{key}]"
        if not isinstance(content, dict):
            raise FormatError(f"{place}: expected a table with title and year")
        source = _record(Citation, content, place)
        if source.year is None and not source.assumption:
            raise FormatError(f"{place} year: missing (or say assumption = true)")
        sources[key] = source
    return sources


def _take_sources(
    content: dict[str, Any], sources: Mapping[str, Citation], where: str, table: str
) -> dict[str, str]:
    """Remove `source` and `source_of` from a table; return the source of each of its numbers."""
    common = content.pop("source", None)
    special = content.pop("source_of", {})
    if not isinstance(special, dict):
        raise FormatError(f"{where} source_of: {_shown(special)}, expected a table")
    for key in special:
        if key not in content:
            raise FormatError(f"{where} source_of: {key!r} is not a number of this table")
    found = {}
    for key in content:
        source = special.get(key, common)
        if source is None:
            raise FormatError(f"{where} {key}: has no source; name one of [source]")
        if source not in sources:
            raise FormatError(f"{where} {key}: its source {_shown(source)} is not in [source]")
        found[f"{table}.{key}"] = str(source)
    return found


def _record(kind: type[Record], content: Mapping[str, Any], where: str) -> Record:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    for key in content:
        if key not in hints:
            raise FormatError(f"{where} {key}: {_unknown(key, tuple(hints))}")
    values = {}
    for field in fields:
        if field.name in content:
            values[field.name] = _value(
                content[field.name], hints[field.name], f"{where} {field.name}"
            )
        elif field.default is dataclasses.MISSING:
            raise FormatError(f"{where} {field.name}: missing")
    return kind(**values)


def _unknown(key: str, known: tuple[str, ...]) -> str:
    with_unit = [name for name in known if name.startswith(f"{key}_")]
    if with_unit:
        return f"has no unit in its name; write {' or '.join(with_unit)}"
    return f"unknown key{_suggest(key, known)}"


def _suggest(key: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _value(value: Any, hint: Any, where: str) -> Any:
    options = [option for option in typing.get_args(hint) or (hint,) if option is not type(None)]
    kind = options[0]
    if kind is EnergyPj:
        return _energy(value, where)
    if kind is float:
        return _positive(value, where)
    if kind is int:
        return _count(value, where)
    if kind is str:
        return _text(value, where)
    if not isinstance(value, bool):
        raise FormatError(f"{where}: {_shown(value)}, expected true or false")
    return value


def _text(value: Any, where: str) -> str:
    if value is None:
        raise FormatError(f"{where}: missing")
    if not isinstance(value, str) or not value.strip():
        raise FormatError(f"{where}: {_shown(value)}, expected text")
    return value


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"{where}: {_shown(value)}, expected a whole number")
    if value < 1:
        raise FormatError(f"{where}: {value}, expected at least 1; leave the key out if unknown")
    return value


def _positive(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"{where}: {_shown(value)}, expected a number")
    if not (value > 0 and math.isfinite(value)):
        raise FormatError(f"{where}: {value}, expected more than 0; leave the key out if unknown")
    return float(value)


def _energy(value: Any, where: str) -> EnergyPj:
    """Read a number, `[low, high]`, or `{ at_least = low }`."""
    if isinstance(value, dict):
        if set(value) != {_MINIMUM}:
            raise FormatError(f"{where}: {_shown(value)}, expected {{ {_MINIMUM} = number }}")
        low = _positive(value[_MINIMUM], where)
        return EnergyPj(low, low, is_minimum=True)
    if isinstance(value, list):
        if len(value) != 2:
            raise FormatError(f"{where}: {_shown(value)}, expected [low, high]")
        low, high = (_positive(end, where) for end in value)
        if low > high:
            raise FormatError(f"{where}: {_shown(value)}, the low end is above the high end")
        return EnergyPj(low, high)
    single = _positive(value, where)
    return EnergyPj(single, single)


def _shown(value: Any) -> str:
    kinds = {str: "text", bool: "a truth value", list: "a list", dict: "a table"}
    kind = kinds.get(type(value))
    return f"{value!r} is {kind}" if kind else f"{value!r}"
