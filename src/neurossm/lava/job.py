"""One run of a Lava network, in a process that may be ended at any time (see `worker`)."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from lava.magma.compiler import compiler as _compiler  # noqa: F401 - imported once, before forks
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from neurossm.errors import NeuroSSMError
from neurossm.lava.network import lay_out

if TYPE_CHECKING:
    from neurossm.lava.network import Network
    from neurossm.lava.worker import Job

__all__ = ["run"]

_POLL_S = 0.05
_PATIENCE_S = 2.0


class Tell(Protocol):
    """Sends an event to the caller."""

    def __call__(self, **message: Any) -> None:
        """Send."""


def run(job: Job, lifeline: int, tell: Tell) -> None:
    """Run a job and tell how it went; end this process when `lifeline` is cut.

    Parameters
    ----------
    job
        What to run.
    lifeline
        Descriptor of a pipe that the worker holds open as long as the result is wanted.
    tell
        Sends the result.
    """
    try:
        network = lay_out(job.plan, job.data, job.period, dict(job.traces))
    except Exception as error:
        tell(**_failed(error))
        return
    watch = _Watch(network, lifeline, tell)
    threading.Thread(target=watch.forever, daemon=True).start()
    try:
        network.readout.create_runtime(Loihi2SimCfg(select_tag=network.tag))
        watch.complete = True
        network.readout.run(RunSteps(num_steps=network.steps))
        result: dict[str, Any] = {"event": "done", "saturations": network.saturations()}
    except Exception as error:
        time.sleep(_POLL_S)  # the model that is to blame may still be about to say so
        result = watch.failure() or _failed(error)
    watch.finish(result)


def _failed(error: Exception, detail: str | None = None) -> dict[str, Any]:
    """Return the event for an exception; ours explain themselves, others need their type."""
    words = " ".join(str(error).split())
    message = words if isinstance(error, NeuroSSMError) else f"{type(error).__name__}: {words}"
    if detail is None:
        detail = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"event": "failed", "message": message, "detail": detail}


class _Watch:
    """Looks after the processes of a network and ends them, once, whoever asks first."""

    def __init__(self, network: Network, lifeline: int, tell: Tell) -> None:
        self.network = network
        self.lifeline = lifeline
        self.tell = tell
        self.complete = False  # all processes of the network have been started
        self.ending = threading.Lock()
        self.forking = threading.Lock()
        os.register_at_fork(
            before=self.forking.acquire,
            after_in_parent=self.forking.release,
            after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
        )

    def forever(self) -> None:
        """Wait until a model fails or nobody wants the result."""
        while True:
            cut, _, _ = select.select([self.lifeline], [], [], _POLL_S)
            failure = None if cut else self.failure()
            if cut or failure:
                self.finish(failure)

    def failure(self) -> dict[str, Any] | None:
        """Return the event for the first model that raised or died, if one did."""
        for name, actor in zip(self._names(), self._actors(), strict=False):
            # The main thread may be joining an actor meanwhile, which closes its pipes.
            with contextlib.suppress(OSError, ValueError):
                if actor.exception is not None:
                    error, detail = actor.exception
                    event = _failed(error, detail)
                    if not isinstance(error, NeuroSSMError):
                        event["message"] = f"{name}: {event['message']}"
                    return event
                if not actor.is_alive() and actor.exitcode:
                    message = f"{name}: its process died (exit code {actor.exitcode})"
                    return {"event": "failed", "message": message, "detail": ""}
        return None

    def finish(self, result: dict[str, Any] | None) -> None:
        """End all processes, free the shared memory, tell the result, and exit."""
        if not self.ending.acquire(blocking=False):
            threading.Event().wait()  # another thread is at it; it ends this process
        if self.complete:
            self._end_orderly()
        else:
            # The main thread may be starting models: let it start no more, then end all there are.
            # This process and the worker ignore the signal, and so does Python's resource tracker,
            # which frees the shared memory when they are gone.
            self.forking.acquire()
            os.killpg(0, signal.SIGTERM)
        if result is not None:
            self.tell(**result)
        os._exit(0)

    def _end_orderly(self) -> None:
        for actor in self._actors():
            with contextlib.suppress(ValueError):  # joined and closed already
                actor.terminate()
        for actor in self._actors():
            with contextlib.suppress(ValueError):
                multiprocessing.Process.join(actor, _PATIENCE_S)
        self._infrastructure().smm.shutdown()

    def _infrastructure(self) -> Any:
        return getattr(self.network.readout.runtime, "_messaging_infrastructure", None)

    def _actors(self) -> list[Any]:
        infrastructure = self._infrastructure()
        return [] if infrastructure is None else list(infrastructure.actors)

    def _names(self) -> list[str]:
        """Names of the actors: processes first, then Lava's runtime service."""
        executable = self.network.readout.runtime and self.network.readout.runtime._executable
        processes = [process.name for process in executable.proc_builders] if executable else []
        return [*processes, *["Lava's runtime service"] * 8]
