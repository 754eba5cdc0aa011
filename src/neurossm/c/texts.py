"""How names and numbers are written in C's comments, strings and initialisers."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from neurossm.c.numbers import literal
from neurossm.c.unit import Parameter
from neurossm.errors import InputError

WIDTH = 100


def check_identifier(name: str) -> str:
    """Return a name that functions and files may begin with; InputError for any other."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
        raise InputError(
            f"name {name!r}: must be a small letter, then small letters, digits and _, at most 31"
        )
    if name == "main":
        raise InputError("name 'main': is that of main.c; choose another")
    return name


def comment(lines: Iterable[str]) -> str:
    """Return a comment of these lines; what is no printable ASCII becomes a question mark."""
    clean = (re.sub(r"[^ -~]", "?", line).replace("\\", "?").rstrip() for line in lines)
    return "\n".join(["/*", *(f" * {line}".rstrip() for line in clean), " */"])


def string(text: str) -> str:
    """Return a string literal."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return f'"{escaped}"'


def definition(parameter: Parameter) -> str:
    """Return the definition of a constant array."""
    numbers = ", ".join(
        literal(int(value), parameter.kind) if parameter.kind.bits > 16 else str(value)
        for value in parameter.values
    )
    what = re.sub(r"[^ -~]", "?", parameter.what).replace("\\", "?")
    head = f"static const {parameter.kind.name} {parameter.name}[{parameter.values.size}] = {{"
    body = textwrap.fill(numbers, WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"/* {what} */\n{head}\n{body}\n}};\n"
