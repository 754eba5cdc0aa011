"""The caller's side of the process in which Lava runs: start it, give it jobs, end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from neurossm.errors import RunError
from neurossm.lava.availability import require_lava
from neurossm.lava.job import Job
from neurossm.lava.memory_blocks import free_blocks

_POLL_S = 0.1
_PATIENCE_S = 10.0


class Worker:
    """A process that runs Lava networks one after another; use it in a `with` statement.

    Starting one takes about two seconds (importing Lava and the compiled kernels), a job on it a
    third of a second. Nothing of it is left when the block ends, however it ends: no process, no
    shared memory, no file.

    Raises
    ------
    MissingDependencyError
        Lava is not installed.
    """

    def __init__(self) -> None:
        require_lava()
        self.folder = Path(tempfile.mkdtemp(prefix="neurossm-lava-"))
        try:
            self.process = _start(self.folder)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._buffer = b""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def new_folder(self) -> Iterator[Path]:
        """Lend an empty folder for the files of a job."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def execute(
        self, job: Job, watch: Callable[[], None] | None = None, timeout: float | None = None
    ) -> dict[str, int]:
        """Run a job to its end.

        Parameters
        ----------
        job
            What to run.
        watch
            Called about ten times a second.
        timeout
            Seconds after which to give up.

        Returns
        -------
        dict
            Saturations, by tensor.

        Raises
        ------
        RunError
            A model failed, its process died, or time is up. All processes have been ended.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        with self.new_folder() as folder:
            job.save(folder)
            self._send(os.fsencode(folder))
            return self._wait(watch, deadline)

    def _wait(self, watch: Callable[[], None] | None, deadline: float) -> dict[str, int]:
        """Wait for the result of a job; without one, end the worker."""
        finished = False
        try:
            for event in self._events():
                if watch is not None:
                    watch()
                finished = event.get("event") in ("done", "failed")
                if finished:
                    return _result(event)
                if time.monotonic() > deadline:
                    raise RunError("the Lava network did not finish in time")
            raise RunError(f"Lava's worker process ended unexpectedly{self._reason()}")
        finally:
            if not finished:  # also on Ctrl-C
                self.close()

    def close(self) -> None:
        """End the worker and whatever runs on it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # its cue to clean up
        try:
            self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()  # the cue for the processes of its job to kill each other
            self.process.wait()
        if not self.process.stdout.closed:
            self._drain()
            self.process.stdout.close()
        free_blocks(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _drain(self) -> None:
        """Wait until nobody holds the worker's output: it and the processes of its job are gone."""
        deadline = time.monotonic() + _PATIENCE_S
        for _ in self._events():
            if time.monotonic() > deadline:
                return

    def _send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def _events(self) -> Iterator[dict[str, Any]]:
        """Yield events until the worker ends, and an empty one about ten times a second."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        while True:
            ready, _, _ = select.select([descriptor], [], [], _POLL_S)
            if not ready:
                yield {}
                continue
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                return
            *lines, self._buffer = (self._buffer + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)

    def _reason(self) -> str:
        """Explain an end without an event: by the signal, or by the last line printed."""
        code = self.process.wait()
        if code < 0:
            return f" (exit code {code})"
        with contextlib.suppress(OSError):
            lines = (self.folder / "log").read_text(errors="replace").split("\n")
            words = [line.strip() for line in lines if line.strip()]
            if words:
                return f": {words[-1]}"
        return f" (exit code {code})"


class _Slot:
    """Where runs keep the worker that they share."""

    worker: Worker | None = None


_slot: ContextVar[_Slot | None] = ContextVar("_slot", default=None)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Let runs in this block share a worker, which the first that needs one starts.

    It ends with the outermost block. Other threads than the block's start workers of their own.
    """
    if _slot.get() is not None:
        yield
        return
    slot = _Slot()
    token = _slot.set(slot)
    try:
        yield
    finally:
        _slot.reset(token)
        if slot.worker is not None:
            slot.worker.close()


@contextlib.contextmanager
def borrowed() -> Iterator[Worker]:
    """Return a worker for one run: that of a block of `kept`, or one that ends with the run."""
    slot = _slot.get()
    if slot is None:
        with Worker() as worker:
            yield worker
        return
    if slot.worker is None or slot.worker.process.poll() is not None:  # one that failed has ended
        slot.worker = Worker()
    yield slot.worker


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a worker process that owns a folder."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p)
    # A network has more processes than there are cores: threads inside them only get in the way
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    return subprocess.Popen(
        [sys.executable, "-c", "from neurossm.lava.worker_process import main; main()", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )


def _result(event: dict[str, Any]) -> dict[str, int]:
    if event["event"] == "failed":
        detail = event["detail"]
        raise RunError(event["message"]) from (RuntimeError(detail) if detail else None)
    return {name: int(count) for name, count in event["saturations"].items()}
