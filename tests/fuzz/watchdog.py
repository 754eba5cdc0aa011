"""Run cases in a process of its own with limits of time and memory; begin anew where it dies."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

SECONDS = 20
"""Processor time of one case."""

WALL_SECONDS = 120
"""Time of one case on the clock, where others use the processor."""

MEMORY_BYTES = 1 << 30
"""What one case may take beyond what the process takes without."""

MESSAGE = 1_100
"""Characters of a message with the file's name."""

_PRELOADED = [
    *("readers", "torch", "neurossm.compile", "neurossm.cost", "neurossm.importers"),
    *("neurossm.inspection", "neurossm.models.export", "neurossm.train", "neurossm.program"),
]
"""What the process imports that all children are copies of."""

ACCEPTED, REFUSED = "accepted", "refused"
INTERNAL, LATE, MEMORY = "internal error", "timed out", "memory"
OUTCOMES = (ACCEPTED, REFUSED, INTERNAL, LATE, MEMORY)
BAD = (INTERNAL, LATE, MEMORY)


@dataclass(frozen=True)
class Result:
    """What became of one case; `detail` is the message, or where the error came from."""

    reader: str
    case: int
    outcome: str
    detail: str
    seconds: float
    megabytes: float


def run_cases(
    reader: str, cases: range, seed: int, cache: Path, keep: Path | None
) -> Iterator[Result]:
    """Yield the result of each case; a process that dies or hangs is replaced."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    first = cases.start
    while first < cases.stop:
        ours, theirs = context.Pipe()
        arguments = (theirs, reader, range(first, cases.stop), seed, cache, keep)
        child = context.Process(target=_child, args=arguments, daemon=True)
        child.start()
        theirs.close()
        assert child.pid is not None
        try:
            for result in _results(ours, child, reader, first):
                first = result.case + 1
                yield result
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.join()


def _results(ours: Any, child: Any, reader: str, case: int) -> Iterator[Result]:
    """Yield what a child says, and what became of the case that it died or hung in."""
    begun, used = time.monotonic(), 0.0
    ready = False
    while True:
        try:
            if ours.poll(0.5):
                message = ours.recv()
                if isinstance(message, Result):
                    yield message
                    case = message.case + 1
                elif message == "end":
                    return
                else:
                    ready, begun, used = True, time.monotonic(), _processor_seconds(child.pid)
                continue
        except (EOFError, ConnectionResetError):
            child.join()
            what = f"the process ended with {child.exitcode}"
            if not ready:
                raise RuntimeError(f"{reader}: {what} before its first case") from None
            yield Result(reader, case, INTERNAL, what, time.monotonic() - begun, 0.0)
            return
        seconds = _processor_seconds(child.pid) - used
        late = time.monotonic() - begun > WALL_SECONDS
        if ready and (seconds > SECONDS or late):
            yield Result(reader, case, LATE, f"{seconds:.0f} s of processor time", seconds, 0.0)
            return


def _processor_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _child(pipe: Any, name: str, cases: range, seed: int, cache: Path, keep: Path | None) -> None:
    os.setpgid(0, 0)
    import readers
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("error")
    for category in (DeprecationWarning, FutureWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    logging.getLogger("neurossm").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as temporary, open(f"{temporary}/printed", "w+b") as printed:
        folder = Path(temporary)
        os.environ["NEUROSSM_CACHE"] = str(cache)
        for descriptor in (1, 2):
            os.dup2(printed.fileno(), descriptor)
        reader = readers.reader(name, folder)
        _limit_memory()
        for case in cases:
            pipe.send("begin")
            result = _run(reader, name, case, seed, folder, keep, printed)
            sys.stdout.flush()
            if os.fstat(printed.fileno()).st_size and result.outcome in (ACCEPTED, REFUSED):
                printed.seek(0)
                said = f"printed {printed.read(300)!r}"
                result = Result(name, case, INTERNAL, said, result.seconds, result.megabytes)
            pipe.send(result)
        pipe.send("end")


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(
    reader: Any, name: str, case: int, seed: int, folder: Path, keep: Path | None, printed: Any
) -> Result:
    import readers

    rng = readers.randomness(name, seed, case)
    try:
        path = reader.make(rng, folder)
    except Exception as error:
        return Result(name, case, INTERNAL, f"not made: {_place(error)}", 0.0, 0.0)
    gc.collect()
    printed.seek(0)
    printed.truncate()  # of what making it printed
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{name}-{seed}-{case}{path.suffix}").write_bytes(path.read_bytes())
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of memory
    before, begun = _peak_megabytes(), time.process_time()
    try:
        reader.read(path, rng)
        outcome, detail = ACCEPTED, ""
    except BaseException as error:
        outcome, detail = _judge(error)
    seconds = time.process_time() - begun
    return Result(name, case, outcome, detail, seconds, _peak_megabytes() - before)


def _judge(error: BaseException) -> tuple[str, str]:
    from neurossm.errors import NeuroSSMError

    chain: list[BaseException] = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(before)
    text = str(error)
    if any(isinstance(one, MemoryError) or "allocate memory" in str(one) for one in chain):
        return MEMORY, text[:300]
    if not isinstance(error, NeuroSSMError):
        return INTERNAL, _place(error)
    if not text.isprintable() or len(text) > MESSAGE:
        return INTERNAL, f"no short line of text: {text[:300]!r}, {len(text)} characters"
    return REFUSED, text


def _place(error: BaseException) -> str:
    """Return what an error says and where it was raised: the last place in the package."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/neurossm/" in frame.filename] or list(frames)
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]} ({place})"


def _peak_megabytes() -> float:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
