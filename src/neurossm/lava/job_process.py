"""The processes of one job: a Lava network's main process, and the models it starts.

All are in one process group. They never end by themselves, nor each other: the main process tells
how the run went and waits, and the worker kills the group. If the worker is gone, each of them
kills the group.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from lava.magma.compiler import compiler as _compiler  # noqa: F401 - imported once, before forks
from lava.magma.core.run_conditions import RunSteps

from neurossm.lava.failures import Failure, failure_of, first_failure
from neurossm.lava.hardware import run_config
from neurossm.lava.job import Job
from neurossm.lava.network import LavaNetwork, lay_out

Event = dict[str, Any]
"""What becomes a line of JSON; see `worker_process`."""

_POLL_S = 0.05


def run(job: Job, lifeline: int, tell: Callable[[Event], None]) -> None:
    """Run a job, tell how it went, and wait to be killed.

    Parameters
    ----------
    job
        What to run.
    lifeline
        Descriptor of a pipe that only the worker holds open; this process leads a group.
    tell
        Sends the result.
    """
    _die_with(lifeline)
    os.register_at_fork(after_in_child=lambda: _die_with(lifeline))
    try:
        network = lay_out(job.plan, job.data, job.lengths, dict(job.traces))
    except Exception as error:
        tell(_failed(error))
        return
    watchdog = _Watchdog(network, tell)
    threading.Thread(target=watchdog.forever, daemon=True).start()
    try:
        network.readout.create_runtime(run_config(job.target, network.tag))
        network.readout.run(RunSteps(num_steps=network.steps))
        result: Event = {"event": "done", "saturations": network.saturations()}
    except Exception as error:
        time.sleep(_POLL_S)  # the model that is to blame may still be about to say so
        result = watchdog.failure() or _failed(error)
    watchdog.finish(result)


def _die_with(lifeline: int) -> None:
    """Kill the group of this process when the lifeline is cut, be it already."""

    def wait() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def _failed(error: Exception) -> Event:
    return _event(failure_of(error))


def _event(failure: Failure) -> Event:
    return {"event": "failed", **failure._asdict()}


class _Watchdog:
    """Looks after the models of a network, and tells the result, once, whoever has it first."""

    def __init__(self, network: LavaNetwork, tell: Callable[[Event], None]) -> None:
        self.network = network
        self.tell = tell
        self.telling = threading.Lock()

    def forever(self) -> None:
        """Wait until a model fails."""
        while True:
            time.sleep(_POLL_S)
            failure = self.failure()
            if failure is not None:
                self.finish(failure)

    def failure(self) -> Event | None:
        """Return the event for the first model that raised or died, if one did."""
        failure = first_failure(self.network.readout)
        return None if failure is None else _event(failure)

    def finish(self, result: Event) -> None:
        """Tell the result, unless another thread has; never return."""
        if self.telling.acquire(blocking=False):
            self.tell(result)
        threading.Event().wait()
