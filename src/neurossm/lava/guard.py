"""Lava in the user's own process, without its hanging, and with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from neurossm.errors import InputError, RunError
from neurossm.lava.failures import Failure, actors_of, first_failure

_POLL_S = 0.05
_PATIENCE_S = 10.0
_SIGNAL = signal.SIGUSR2


@contextlib.contextmanager
def guarded(process: Any) -> Iterator[None]:
    """Stop a network at the end of a block, however it ends, and end a block whose network fails.

    Lava waits for ever where a model raises or dies. In this block an error is raised instead,
    which names the process; and nothing is left of the network after Ctrl-C, an error, or the end:
    no process, no shared memory. It takes the signal SIGUSR2 for itself meanwhile.

    Parameters
    ----------
    process
        Any process of the network.

    Raises
    ------
    RunError
        A model failed, or its process died.
    InputError
        This is not the main thread, which alone gets signals.

    Examples
    --------
    >>> with guarded(network):
    ...     network.run(RunSteps(784), Loihi2SimCfg(select_tag="fixed_pt"))
    ...     logits = network.logits.get()
    """
    if threading.current_thread() is not threading.main_thread():
        raise InputError("guarded: works in the main thread only, where signals arrive")
    found: list[Failure] = []

    def interrupt(*_: object) -> None:
        raise RunError(found[0].message) from RuntimeError(found[0].detail)

    ended = threading.Event()
    before = signal.signal(_SIGNAL, interrupt)
    watch = threading.Thread(target=_watch, args=(process, found, ended), daemon=True)
    try:
        watch.start()
        yield
        ended.set()
        watch.join()
        process.stop()
    except BaseException as error:
        ended.set()
        watch.join()
        signal.signal(_SIGNAL, signal.SIG_IGN)
        # Lava itself may have noticed before the watch, and says less.
        failure = found[0] if found else first_failure(process)
        _end(process)
        if failure is None or isinstance(error, RunError) or not isinstance(error, Exception):
            raise
        raise RunError(failure.message) from error
    finally:
        signal.signal(_SIGNAL, before)


def _watch(process: Any, found: list[Failure], ended: threading.Event) -> None:
    """Wait until a model fails, then interrupt the main thread."""
    while not ended.wait(_POLL_S):
        failure = first_failure(process)
        if failure is not None:
            found.append(failure)
            os.kill(os.getpid(), _SIGNAL)
            return


def _end(process: Any) -> None:
    """Kill the processes of a network and free what they shared."""
    runtime = process.runtime
    if runtime is None:
        return
    actors = actors_of(process)
    for actor in actors:
        with contextlib.suppress(ValueError):  # joined and closed already
            actor.kill()
    for actor in actors:
        with contextlib.suppress(ValueError):
            super(type(actor), actor).join(_PATIENCE_S)
    for port in runtime._open_ports:
        port.join()
    with contextlib.suppress(Exception):
        runtime._messaging_infrastructure.smm.shutdown()
        runtime._watchdog_manager.stop()
    # Lava would wait for them once more when the last reference to the network goes.
    runtime._is_started = False
    for one in {process, *runtime._executable.process_list}:
        one._runtime = None
