"""The process in which Lava runs, apart from the caller's.

Lava's models are processes that wait for each other's messages for ever: one that raises leaves
all others, `run()` and the shared memory between them hanging. So every job runs in a fork of this
worker, with a thread that watches the models, and that ends them and frees their memory whatever
happens: success, an exception in a model, a killed model, a word from the caller, or the caller's
death. Lava also prints, logs, and sets the start method of multiprocessing for the whole process;
none of that reaches the caller.

The caller writes the folders of jobs to this process's standard input, one per line; when that
ends, so does everything here. Lines of JSON come back on standard output: `{"event": "ready"}`,
then `{"event": "done", "saturations": {...}}` or `{"event": "failed", "message": ..., "detail":
...}` for each job.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from neurossm.lava.plan import Plan

__all__ = ["JOB_FILE", "Job", "main"]

JOB_FILE = "job.pickle"
_POLL_S = 0.1


@dataclass(frozen=True, eq=False)
class Job:
    """What to run: a plan on the data of a `.npy` file, writing tensors to `.npy` files."""

    plan: Plan
    data: Path
    period: int
    traces: Mapping[str, Path] = field(default_factory=dict)


def main() -> None:
    """Run jobs until standard input ends; then remove the folder given as argument."""
    folder = Path(sys.argv[1])
    events = _take_stdout(folder / "log")
    # This process and its forks end when the input does, not by signals to their group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from neurossm.lava import job

    _tell(events, event="ready")
    current = _Current(events)
    for line in _lines():
        current.poll()
        if line:
            current.cancel()
            current.start(job.run, Path(line))
    current.cancel()
    shutil.rmtree(folder, ignore_errors=True)


def _take_stdout(log: Path) -> TextIO:
    """Keep standard output for events, and send what anybody prints to a file."""
    events = os.fdopen(os.dup(1), "w", buffering=1)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return events


def _lines() -> Any:
    """Yield lines of standard input, and an empty string every now and then."""
    buffer = b""
    while True:
        ready, _, _ = select.select([0], [], [], _POLL_S)
        if not ready:
            yield ""
            continue
        chunk = os.read(0, 4096)
        if not chunk:
            return
        *lines, buffer = (buffer + chunk).split(b"\n")
        yield from (line.decode() for line in lines)


def _tell(events: TextIO, **message: Any) -> None:
    events.write(json.dumps(message) + "\n")
    events.flush()


class _Current:
    """The job under way, in a process of its own."""

    def __init__(self, events: TextIO) -> None:
        self.events = events
        self.pid: int | None = None
        self.lifeline = -1

    def start(self, run: Any, folder: Path) -> None:
        """Fork. The child ends when it has told its result, or when the lifeline is cut."""
        receiving, self.lifeline = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self.lifeline)
                with open(folder / JOB_FILE, "rb") as file:
                    job = pickle.load(file)
                run(job, receiving, lambda **message: _tell(self.events, **message))
                status = 0
            finally:
                os._exit(status)
        os.close(receiving)

    def cancel(self) -> None:
        """End the job, if there is one, and wait until it has cleaned up."""
        if self.pid is not None:
            os.close(self.lifeline)
            self._ended(os.waitpid(self.pid, 0)[1])

    def poll(self) -> None:
        """Look whether the job has ended."""
        if self.pid is not None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.lifeline)
                self._ended(status)

    def _ended(self, status: int) -> None:
        pid, self.pid = self.pid, None
        code = os.waitstatus_to_exitcode(status)
        if code:
            # It died without cleaning up: end its models. Python's resource tracker, which ignores
            # this signal too, then frees their shared memory.
            os.killpg(0, signal.SIGTERM)
            message = f"the Lava network's main process {pid} died (exit code {code})"
            _tell(self.events, event="failed", message=message, detail="")
