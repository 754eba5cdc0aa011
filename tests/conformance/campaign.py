"""Many commands at a time, each answer written at once, so that a run can be cut off and go on.

A command answers with the last line that it prints, and ends with status 0. One that dies by its
own fault answers, too; one that fails, takes too long or is killed from outside has not answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


class Answer(NamedTuple):
    """What a command said, or why it said nothing."""

    name: str
    text: str
    by: str
    """`integer`, `error` or `crash`: what noticed the edit; `nothing`; `none` without an answer."""
    seconds: float

    def __str__(self) -> str:
        said = {"nothing": "NOT NOTICED", "none": f"NO ANSWER: {self.text}"}
        return f"{self.name}: {said.get(self.by, self.text)} ({self.seconds:.0f} s)"


class Log:
    """A file of answers, one in a line, below what they hold for; without a path nothing is kept.

    Raises
    ------
    ValueError
        If the answers in the file are those of something else.
    """

    def __init__(self, path: Path | None, about: Mapping[str, str]) -> None:
        self.path, self.answers = path, dict[str, Answer]()
        if path is None:
            return
        if path.exists() and path.read_text():
            first, *rest = _parsed(path)
            if first != dict(about):
                raise ValueError(f"{path} has answers for {first}, not for {dict(about)}")
            kept = [Answer(**line) for line in rest]
            self.answers = {answer.name: answer for answer in kept if answer.by != "none"}
        else:
            self._write(dict(about))

    def add(self, answer: Answer) -> None:
        """Keep an answer: it is on the disk when this returns."""
        self.answers[answer.name] = answer
        if self.path is not None:
            self._write(answer._asdict())

    def _write(self, line: dict[str, Any]) -> None:
        assert self.path is not None
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _parsed(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; one that was cut off while it was written is left out."""
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def answers(
    commands: Mapping[str, Sequence[str]], processes: int, limit_s: float
) -> Iterator[Answer]:
    """Yield the answers as they come, of so many processes at a time; end them all when closed."""
    running: set[subprocess.Popen[str]] = set()
    closed = threading.Event()
    with ThreadPoolExecutor(processes) as pool:
        tasks = [pool.submit(_asked, n, c, limit_s, running, closed) for n, c in commands.items()]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            closed.set()
            for task in tasks:
                task.cancel()
            for process in list(running):
                _end(process)


def _asked(
    name: str,
    command: Sequence[str],
    limit_s: float,
    running: set[subprocess.Popen[str]],
    closed: threading.Event,
) -> Answer:
    """Run one command, alone on its processor, in a group of its own that can be ended whole."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    running.add(process)
    if closed.is_set():  # just before it was among those to end
        _end(process)
    try:
        out, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        process.communicate()
        return Answer(name, f"not within {limit_s:.0f} s", "none", limit_s)
    finally:
        running.discard(process)
    seconds = round(time.monotonic() - begin, 1)
    if -process.returncode in FAULTS:
        fault = signal.Signals(-process.returncode).name
        return Answer(name, f"it ended with {fault}", "crash", seconds)
    if process.returncode:
        why = (errors.strip().splitlines() or ["nothing printed"])[-1]
        return Answer(name, f"status {process.returncode}: {why}", "none", seconds)
    text = (out.strip().splitlines() or [""])[-1]
    by = "nothing" if not text else "error" if "Error: " in text else "integer"
    return Answer(name, text, by, seconds)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
