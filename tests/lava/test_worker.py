"""Whatever happens to a network, it is reported, and nothing of it is left."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurossm.errors import RunError
from neurossm.lava import Rescale, Worker
from neurossm.lava.plan import Plan
from neurossm.lava.primitives import Weights
from neurossm.lava.worker import Job

LINK = ("Affine", {"rescale": Rescale([1])}, "a_in", "y_out")
LONG = 200_000


def session_members(leader: int) -> dict[int, str]:
    """Return the living processes of a session, with their command lines."""
    members = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            members[int(entry.name)] = command
    return members


def orphaned_memory() -> set[str]:
    """Return the shared memory segments that no living process uses."""
    used = ""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            used += maps.read_text()
    return {entry.name for entry in Path("/dev/shm").glob("psm_*") if entry.name not in used}


def wait_for(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def traceless():
    """Fail if processes, shared memory or files are left behind when the test ends."""
    memory = orphaned_memory()
    leaders: list[int] = []
    yield leaders
    wait_for(lambda: not any(session_members(leader) for leader in leaders))
    wait_for(lambda: orphaned_memory() <= memory)


@pytest.fixture
def own(traceless):
    """A worker of the test's own; nothing may be left of it."""
    with Worker() as worker:
        traceless.append(worker.process.pid)
        yield worker
    assert not worker.folder.exists()


@pytest.fixture
def job(chain, tmp_path):
    """Make a job that plays integers through one Affine."""

    def make(data, bits=32, link=LINK):
        np.save(tmp_path / "data.npy", np.asarray(data, np.int32)[:, None])
        np.save(tmp_path / "clock.npy", np.zeros(1, np.int64))
        clock = {"clock": tmp_path / "clock.npy"}
        return Job(chain(link, bits=bits), tmp_path / "data.npy", 1, clock)

    return make


@pytest.fixture
def clock(tmp_path):
    """Return the time step that the player has reached."""
    return lambda: int(np.load(tmp_path / "clock.npy")[0])


@pytest.fixture
def kill_once(clock):
    """Kill a process, once, when the network has run for 100 steps."""
    killed: list[int] = []

    def kill(choose: Callable[[], int]) -> None:
        if clock() > 100 and not killed:
            killed.append(choose())
            os.kill(killed[0], signal.SIGKILL)

    return kill


def test_a_model_that_raises_is_named_with_its_step(own, job):
    with pytest.raises(RunError, match=r"^input, step 6: value 200 does not fit") as raised:
        own.execute(job([1, 2, 3, 4, 5, 200, 7], bits=8), timeout=60)
    assert "in advance" in str(raised.value.__cause__)
    # the next job runs as if nothing had happened
    assert own.execute(job([1, 2, 3], bits=8), timeout=60) == {}


def test_a_model_of_lava_that_raises_is_named(own, job):
    weights = Weights(np.array([["no number"]]), 8)
    broken = job(range(9), link=("Dense", {"weights": weights}, "s_in", "a_out"))
    floating = Job(Plan(broken.plan.stages, "floating_pt"), broken.data, 1)
    with pytest.raises(RunError, match=r"^Dense\.0: ValueError: ") as raised:
        own.execute(floating, timeout=60)
    assert "\n" not in str(raised.value)


def test_a_network_that_cannot_be_built_is_reported(own, job, tmp_path):
    broken = job([1, 2, 3])
    np.save(tmp_path / "data.npy", np.zeros(3, np.int32))
    with pytest.raises(RunError, match=r"data of shape \(3,\), expected"):
        own.execute(broken, timeout=60)


def test_a_killed_model_is_reported(own, job, kill_once):
    def youngest() -> int:
        return max(session_members(own.process.pid))

    with pytest.raises(RunError, match=r"its process died \(exit code -9\)"):
        own.execute(job(np.zeros(LONG)), watch=lambda: kill_once(youngest), timeout=60)


def test_a_killed_main_process_is_reported(own, job, kill_once):
    def parent_of_the_models() -> int:
        return min(set(session_members(own.process.pid)) - {own.process.pid})

    with pytest.raises(RunError, match=r"main process \d+ died \(exit code -9\)"):
        own.execute(job(np.zeros(LONG)), watch=lambda: kill_once(parent_of_the_models), timeout=60)


def test_a_killed_worker_is_reported(own, job, kill_once):
    with pytest.raises(RunError, match="ended unexpectedly"):
        own.execute(
            job(np.zeros(LONG)), watch=lambda: kill_once(lambda: own.process.pid), timeout=60
        )


def test_time_runs_out(own, job):
    with pytest.raises(RunError, match="did not finish in time"):
        own.execute(job(np.zeros(LONG)), timeout=2)


def test_an_interrupt_in_the_caller_ends_everything(own, job, clock):
    def interrupt() -> None:
        if clock() > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.execute(job(np.zeros(LONG)), watch=interrupt, timeout=60)
    assert not session_members(own.process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_callers_death_ends_everything(number, job, clock, traceless, tmp_path):
    (tmp_path / "job").write_bytes(pickle.dumps(job(np.zeros(LONG))))
    script = (
        "import pickle, signal, sys; from neurossm.lava import Worker\n"
        # a shell that runs tests in its background has interrupts ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "worker = Worker(); print(worker.process.pid, worker.folder, flush=True)\n"
        "with worker: worker.execute(pickle.load(open(sys.argv[1], 'rb')))\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "job"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with caller:
        assert caller.stdout is not None
        leader, folder = caller.stdout.readline().decode().split()
        traceless.append(int(leader))
        wait_for(lambda: clock() > 100, 60)
        caller.send_signal(number)
        caller.wait(30)
    wait_for(lambda: not session_members(traceless[0]))
    assert not Path(folder).exists()


def test_the_caller_sees_no_output_of_lava_and_keeps_its_start_method(tmp_path):
    script = (
        "import multiprocessing, sys\n"
        "from neurossm import lava\n"
        "multiprocessing.set_start_method('spawn')\n"
        "with lava.Worker() as worker: pass\n"
        "assert multiprocessing.get_start_method() == 'spawn'\n"
        "assert not {'lava.magma.runtime.runtime', 'numba', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_worker_that_cannot_start_says_why(monkeypatch, tmp_path):
    (tmp_path / "numba.py").write_text("raise SystemExit('no kernels today')")
    monkeypatch.syspath_prepend(tmp_path)
    with Worker() as worker, pytest.raises(RunError, match="unexpectedly: .*no kernels today"):
        worker.execute(Job(None, tmp_path, 1), timeout=60)
