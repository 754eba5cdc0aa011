"""The process in which Lava runs, apart from the caller's.

Lava's models are processes that wait for each other's messages for ever: one that raises leaves
all others, `run()` and the shared memory between them hanging. So every job runs in a fork of this
process that leads a process group (see `job_process`), and is ended from here whatever happens:
success, an exception in a model, a killed model, or the caller's death. Lava also prints, logs, and
sets the start method of multiprocessing for the whole process; none of that reaches the caller.

The caller writes the folder of a job to this process's standard input, as a line, and waits for the
result; when the input ends, so does everything here. Lines of JSON come back on standard output:
`{"event": "ready"}`, then `{"event": "done", "saturations": {...}}` or `{"event": "failed",
"message": ..., "detail": ...}` for each job, when nothing of it is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from neurossm.lava.job import Job
from neurossm.lava.memory_blocks import free_blocks, name_blocks

if TYPE_CHECKING:
    from neurossm.lava.job_process import Event


_POLL_S = 0.1
_PATIENCE_S = 10.0
_ENDINGS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Run jobs until standard input ends; then remove the folder given as argument."""
    folder = Path(sys.argv[1])
    events = _take_stdout(folder / "log")
    for number in _ENDINGS:  # this process ends when its input does, and then cleans up
        signal.signal(number, signal.SIG_IGN)
    name_blocks(folder)
    import neurossm.lava.job_process  # noqa: F401 - Lava is slow to import: once, before forks
    from neurossm.lava.stepping import warm_up

    warm_up()
    with contextlib.suppress(BrokenPipeError):  # the caller is gone
        _tell(events, {"event": "ready"})
        while line := sys.stdin.buffer.readline():
            event = _JobGroup(Path(os.fsdecode(line.rstrip(b"\n")))).run(folder)
            if event is not None:
                _tell(events, event)
    shutil.rmtree(folder, ignore_errors=True)


def _take_stdout(log: Path) -> TextIO:
    """Keep standard output for events, and send what anybody prints to a file."""
    events = os.fdopen(os.dup(1), "w", buffering=1)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return events


def _tell(events: TextIO, event: Event) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


class _JobGroup:
    """A group of processes that run a job: the one forked here leads it, all others are its own.

    Each has an end of two pipes. `lifeline` says that this process is there: it is held open here
    only. `news` brings the result, and it ends when the last of them has.
    """

    def __init__(self, folder: Path) -> None:
        # The tracker must outlive the group, to free its memory, and is waited for; so it is ours.
        resource_tracker.ensure_running()
        lifeline, self.lifeline = os.pipe()
        self.news, news = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            os.close(self.lifeline)
            os.close(self.news)
            _lead(folder, lifeline, news)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(self.pid, self.pid)  # whoever comes first
        os.close(lifeline)
        os.close(news)

    def run(self, blocks: Path) -> Event | None:
        """Return how the job went, None if nobody wants to know any more; nothing of it is left."""
        try:
            return self._wait()
        finally:
            self._end()
            free_blocks(blocks)

    def _wait(self) -> Event | None:
        text = b""
        while True:
            ready, _, _ = select.select([0, self.news], [], [], _POLL_S)
            if self.news in ready:
                text += os.read(self.news, 1 << 16)
                if text.endswith(b"\n"):
                    event: Event = json.loads(text)
                    return event
            if 0 in ready:
                return None
            # It is not reaped yet, so that its number remains the group's.
            died = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if died is not None:
                code = died.si_status if died.si_code == os.CLD_EXITED else -died.si_status
                message = f"the Lava network's main process {self.pid} died (exit code {code})"
                return {"event": "failed", "message": message, "detail": ""}

    def _end(self) -> None:
        """Kill the group, wait until the last of it is gone, and the tracker has freed its memory.

        Nobody can ignore or miss SIGKILL: the kernel does not let a process fork past a signal to
        its group. It is repeated, as not every system that passes for a kernel is so strict.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            ready, _, _ = select.select([self.news], [], [], _POLL_S)
            if ready and not os.read(self.news, 1 << 16):
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes of group {self.pid} survive SIGKILL")
        os.waitpid(self.pid, 0)
        os.close(self.news)
        os.close(self.lifeline)
        tracker: Any = resource_tracker._resource_tracker
        tracker._stop()  # it ends with the last process that uses it, which is this one


def _lead(folder: Path, lifeline: int, news: int) -> None:
    """Be the process that leads a job's group; never return."""
    try:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_DFL)
        from neurossm.lava.job_process import run

        with open(news, "w") as events:
            run(Job.load(folder), lifeline, lambda event: _tell(events, event))
            signal.pause()
    finally:
        os._exit(1)
