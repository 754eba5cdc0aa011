"""Input, output and errors of the process, as a shell may leave them: closed, or of few letters."""

from __future__ import annotations

import io
import os
import sys


def prepare_streams() -> None:
    """Let every text be printed, and no file that is opened later take the place of a stream.

    A letter that a terminal lacks is shown by its number. SystemExit where stdout is closed.
    """
    closed = [number for number in (0, 1, 2) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 (it stays open)
    if sys.stdout is None or 1 in closed:
        sys.stderr.write("neurossm: stdout is closed; send it to a file, or to /dev/null\n")
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
