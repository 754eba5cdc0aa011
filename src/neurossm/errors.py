"""The exceptions that users of NeuroSSM meet.

Each message is one line that names the place, the value, the limit and the way out. The command
line prints it as it is and exits with status 1. Text of a file stands in it as printable characters
alone, and what is very long is cut in the middle.
"""

from __future__ import annotations

__all__ = [
    "FormatError",
    "InputError",
    "LimitError",
    "MissingDependencyError",
    "NeuroSSMError",
    "RunError",
    "UnsupportedError",
]

MESSAGE_CHARACTERS = 1_000
"""The longest message; a longer one keeps its beginning, which says where, and its end."""


def short_line(text: str) -> str:
    """Return a text as one line that any terminal shows and people read."""
    if len(text) > MESSAGE_CHARACTERS:
        text = f"{text[:600]} ... {text[-(MESSAGE_CHARACTERS - 605) :]}"
    if not text.isprintable():
        words = " ".join(text.split())
        text = "".join(
            sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in words
        )
    return text


class NeuroSSMError(Exception):
    """Base of every error that NeuroSSM raises on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(short_line(message))


class InputError(NeuroSSMError):
    """A value, an array or a path given by the user cannot be used."""


class FormatError(NeuroSSMError):
    """A file is damaged, foreign, or of a schema version this release does not read."""


class LimitError(NeuroSSMError):
    """A model or a number exceeds a stated limit: a width, an accumulator, a chip."""


class UnsupportedError(NeuroSSMError):
    """A well-formed model asks for something that NeuroSSM does not do."""


class MissingDependencyError(NeuroSSMError):
    """An optional package is not installed or does not work on this Python."""


class RunError(NeuroSSMError):
    """A program failed while it was running: an engine died, timed out or was interrupted."""
