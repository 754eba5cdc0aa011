"""What is done to good files: to their bytes, to nested values, and to lines of text."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator

INTEGERS = (
    *(0, 1, -1, 2, 3, 7, -5, 63, 64, 65, 255, 256, 1000, 65536, 10**6, 10**9, 10**18),
    *(2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)),
    *(2**63, 2**64 - 1, 10**30),
)
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.5, 1e-5, 1e308, 1e-320, float("nan"), float("inf"), -float("inf"))
TEXTS = (
    *("", "x", "ü", "\0", "\x1b[31m", "a\nb", "1e-4", "nan", "null", "true", "../../etc/passwd"),
    *("/dev/zero", "${x}", "???", "-1", "binary-s4d", "gsu", "batch", "A" * 5000, "é" * 300),
)


def pick(rng: Random, choices: Any) -> Any:
    """Return one of the choices."""
    return choices[int(rng.integers(len(choices)))]


def hostile(rng: Random) -> Any:
    """Return a plain value that few expect."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: pick(rng, INTEGERS),
        lambda: pick(rng, FLOATS),
        lambda: pick(rng, TEXTS),
        lambda: pick(rng, (True, False, None)),
        lambda: pick(rng, ([], {}, [[]], [1, 2], {"a": 1}, {1: 2}, [None], ["x", 1.5])),
        lambda: nested(int(pick(rng, (5, 100, 900, 3000)))),
    )
    weights = np.array([5, 3, 4, 2, 2, 0.3])
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]()


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def mutate_bytes(rng: Random, content: bytes, most: int = 4) -> bytes:
    """Return bytes with one to a few changes of any kind."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, most + 1))):
        if not changed:
            return rng.bytes(20)
        pick(rng, _CHANGES)(rng, changed)
    return bytes(changed)


def _flip(rng: Random, data: bytearray) -> None:
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))


def _set(rng: Random, data: bytearray) -> None:
    data[int(rng.integers(len(data)))] = pick(rng, (0, 1, 0x7F, 0x80, 0xFF, 0x5B, 0x7B, 0x22))


def _number(rng: Random, data: bytearray) -> None:
    size = pick(rng, (2, 4, 8))
    at = int(rng.integers(len(data)))
    value = pick(rng, INTEGERS) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, pick(rng, ("little", "big")))


def _truncate(rng: Random, data: bytearray) -> None:
    del data[int(rng.integers(len(data))) :]


def _span(rng: Random, data: bytearray) -> slice:
    begin = int(rng.integers(len(data)))
    return slice(begin, begin + int(pick(rng, (1, 2, 8, 64, 512, 4096))))


def _remove(rng: Random, data: bytearray) -> None:
    del data[_span(rng, data)]


def _repeat(rng: Random, data: bytearray) -> None:
    at = int(rng.integers(len(data)))
    data[at:at] = data[_span(rng, data)]


def _zero(rng: Random, data: bytearray) -> None:
    span = _span(rng, data)
    data[span] = bytes(len(data[span]))


def _copy(rng: Random, data: bytearray) -> None:
    source = data[_span(rng, data)]
    at = int(rng.integers(len(data)))
    data[at : at + len(source)] = source


def _insert(rng: Random, data: bytearray) -> None:
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(pick(rng, (1, 4, 100))))


_CHANGES = (_flip, _flip, _flip, _set, _number, _number, _truncate, _remove, _repeat, _zero, _copy,
            _insert)  # fmt: skip


def mutate_values(
    rng: Random, value: Any, other: Callable[[Random, Any], Any] | None = None, most: int = 3
) -> Any:
    """Return nested dicts and lists with one to a few entries changed.

    `other` makes a value in the place of one: by default any hostile one.
    """
    changed = copy.deepcopy(value)
    for _ in range(int(rng.integers(1, most + 1))):
        holder, key = _place(rng, changed)
        if holder is None:
            return hostile(rng)
        _change(rng, holder, key, other or (lambda rng, _: hostile(rng)))
    return changed


def _place(rng: Random, value: Any) -> tuple[Any, Any]:
    """Return a container and a key in it, at any depth."""
    places: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        places += [(holder, key) for key in keys]
        pending += [holder[key] for key in keys if isinstance(holder[key], (dict, list))]
        if len(places) > 2000:
            break
    if not places:
        return None, None
    deep = int(rng.integers(len(places)))
    return places[deep] if rng.random() < 0.7 else places[min(deep, int(rng.integers(12)))]


def _change(rng: Random, holder: Any, key: Any, other: Callable[[Random, Any], Any]) -> None:
    if isinstance(holder, list):
        pick(
            rng,
            (
                lambda: holder.__setitem__(key, other(rng, holder[key])),
                lambda: holder.pop(key),
                lambda: holder.append(other(rng, holder[key])),
            ),
        )()
        return
    pick(
        rng,
        (
            lambda: holder.__setitem__(key, other(rng, holder[key])),
            lambda: holder.__setitem__(key, other(rng, holder[key])),
            lambda: holder.__setitem__(key, other(rng, holder[key])),
            lambda: holder.pop(key),
            lambda: holder.__setitem__(pick(rng, (*TEXTS, 0, 2**70, None, 1.5)), holder.pop(key)),
            lambda: holder.__setitem__(pick(rng, TEXTS), other(rng, holder[key])),
            lambda: holder.__setitem__(key, holder[pick(rng, list(holder))]),
        ),
    )()


_LITERALS = (
    *("0", "-1", "1", "3", "8", "99", "1e308", "nan", "-inf", "inf", "1e-400", "true", "false"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "1" * 400, '""', '"x"'),
    *("[]", "{}", "[1, 2]", "null", "~", "1979-05-27", "07:32:00", "'x'", '"\\u0000"', "0x10"),
    *(
        "1:30",
        "!!binary x",
        "!!python/object:os.system x",
        "*a",
        "&a [*a]",
        "[[" * 400,
        "{a: " * 60,
    ),
    *('"""', "1e-4", ".5", "5.", "+1", "0o7", "1_0", "\t", "'''a", "ü", '"\\ud800"'),
)
_VALUE = re.compile(r'"[^"\n]*"|(?<![\w.])-?\d[\w.+-]*|\b(?:true|false|null)\b')
_ADDED = (
    *("[", "]", "[[a]]", "[a.b.c]", "a = 1", "a: 1", "- a", "---", "%TAG", "x = {", "\ufeff", "\0"),
    *("[training]", "[limits]", "[default]", "[layers]", "[layers.x]", "[model]", "[support]"),
    *("a" * 3000 + " = 1", ".".join("a" * 1500) + " = 1", "a: &b {c: *b}", "<<: {a: 1}", "? x"),
)


def mutate_text(rng: Random, text: str) -> bytes:
    """Return a text with lines, words and values changed, now and then in another encoding."""
    lines = text.split("\n")
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        way = int(rng.integers(8))
        if way < 4:
            lines[at] = _other_value(rng, lines[at])
        elif way == 4:
            lines[at] = ""
        elif way == 5:
            lines.insert(at, pick(rng, lines))
        elif way == 6:
            lines.insert(at, pick(rng, _ADDED))
        else:
            lines[at] = re.sub(
                r"\w+", lambda _: pick(rng, ("x", "name", "0", "a.b")), lines[at], count=1
            )
    changed = "\n".join(lines)
    if rng.random() < 0.05:
        return changed.encode(pick(rng, ("utf-16", "latin-1", "utf-32", "utf-7")), "replace")
    return changed.encode("utf-8", "surrogatepass")


def _other_value(rng: Random, line: str) -> str:
    found = list(_VALUE.finditer(line))
    if not found:
        return line + pick(rng, _LITERALS)
    match = pick(rng, found)
    return line[: match.start()] + pick(rng, _LITERALS) + line[match.end() :]
