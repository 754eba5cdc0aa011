"""What every integer of an engine is compared with, and in how many ways an engine is asked.

The cases are files, so that an altered copy of the package reads them by itself: a program, and
what it leads to, in the format of the golden vectors.
"""

from __future__ import annotations

import importlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Vectors = dict[str, np.ndarray]


def vectors(program: Any, data: np.ndarray) -> Vectors:
    """Return all that the reference computes, as `read` does."""
    from neurossm.program.reference import run

    ran = run(program, data, record=tuple(program.recordings))
    arrays = {f"tensors/{tensor}": values for tensor, values in ran.tensors.items()}
    arrays |= {f"saturations/{tensor}": np.asarray(n) for tensor, n in ran.saturations.items()}
    return {"data": data, "logits": ran.logits, **arrays}


def write(folder: Path, name: str, program: Any, known: Vectors) -> None:
    """Write a program and what it leads to, as golden vectors."""
    program.save(folder / f"{name}.h5")
    np.savez(folder / f"{name}.npz", **known)


def read(path: Path) -> Vectors:
    """Read what a program leads to."""
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        return {name.replace(".state", ":state"): file[name] for name in file.files}


def first_difference(ran: Any, wanted: Vectors, names: Iterable[str]) -> str | None:
    """Return where a run differs from the vectors, or None."""
    for name in names:
        found, expected = ran.tensors[name], wanted[f"tensors/{name}"]
        if found.shape != expected.shape or not np.array_equal(found, expected):
            return name
    if not np.array_equal(ran.logits, wanted["logits"]):
        return "the logits"
    counts = {f"saturations/{name}": n for name, n in ran.saturations.items()}
    if counts != {name: n for name, n in wanted.items() if name.startswith("saturations/")}:
        return "the saturations"
    return None


def reference(program: Any, wanted: Vectors) -> str | None:
    """Return where the reference differs, or None."""
    run = importlib.import_module("neurossm.program.reference").run
    names = tuple(program.recordings)
    return first_difference(run(program, wanted["data"], names), wanted, names)


_POOLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda x: x.sum(axis=1),
    "last": lambda x: x[:, -1],
    "max": lambda x: x.max(axis=1),
}
"""What readouts keep of (B, L, H); "none" keeps nothing."""


def fast(program: Any, wanted: Vectors) -> str | None:
    """Return where the fast engine differs, asked in four ways, or None."""
    data = wanted["data"]
    run = importlib.import_module("neurossm.engine.cpu.batches").run
    names = tuple(program.recordings)
    tensors = tuple(name for name, kept in program.recordings.items() if kept.state is None)
    # fused where nobody watches; states as floats; all in integers
    found = run(program, data, threads=1)
    place = first_difference(found, wanted, ())
    last = wanted[f"tensors/{program.readout.inputs[0]}"]
    pooled = _POOLS.get(program.readout.pool)
    if place is None and pooled and not np.array_equal(found.totals, pooled(last)):
        place = "the readout's sums"
    if place is None:
        found = run(program, data, tensors, threads=1, count=tensors)
        place = first_difference(found, wanted, tensors)
        for name in tensors:
            count = np.count_nonzero(wanted[f"tensors/{name}"], axis=1)
            if place is None and not np.array_equal(found.nonzeros[name], count):
                place = f"the nonzeros of {name}"
    if place is None:
        place = first_difference(run(program, data, names, threads=1), wanted, names)
    return place or session(program, wanted)


def in_c(program: Any, wanted: Vectors) -> str | None:
    """Return where C differs: in vectors, of every state, and many steps at once; or None."""
    run = importlib.import_module("neurossm.c.engine").run
    names = tuple(program.recordings)
    for style in ("vector", "portable"):
        for record in (names, ()):
            found = run(program, wanted["data"], record, threads=1, style=style)
            place = first_difference(found, wanted, record)
            if place is not None:
                return f"{place}, {style}"
    return None


def session(program: Any, wanted: Vectors) -> str | None:
    """Return where the fast engine differs that is given one piece after the other, or None."""
    Session = importlib.import_module("neurossm.engine.cpu.session").Session
    data, watched = wanted["data"], program.readout.inputs[0]
    stream = Session(program, streams=len(data), record=(watched,))
    stream.advance(data[:, :1])
    stream.reset()
    for begin, end in _pieces(data.shape[1]):
        stream.advance(data[:, begin:end])
        if not np.array_equal(stream.tensors[watched], wanted[f"tensors/{watched}"][:, end - 1]):
            return f"{watched} in a session"
    last = wanted["logits"][:, -1] if program.readout.streams else wanted["logits"]
    if not np.array_equal(stream.logits, last):
        return "the logits of a session"
    counts = {f"saturations/{name}": n for name, n in stream.saturations.items()}
    every = {name: n for name, n in wanted.items() if name.startswith("saturations/")}
    if program.readout.streams:  # a session has logits after each piece, not of every step
        own = f"saturations/{program.readout.name}"
        counts.pop(own, None)
        every.pop(own, None)
    return None if counts == every else "the saturations of a session"


def _pieces(steps: int) -> Iterator[tuple[int, int]]:
    """Yield pieces of one step, of some, and the rest."""
    ends = sorted({0, min(1, steps), min(4, steps), steps})
    yield from itertools.pairwise(ends)


def compared(program: Any, data: np.ndarray, name: str) -> tuple[Any, Counter[str]]:
    """Compare the engines on every tensor and state; return the reference's, and how many."""
    from neurossm.engine import cpu
    from neurossm.program.reference import run

    names = tuple(program.recordings)
    tensors = [name for name, kept in program.recordings.items() if kept.state is None]
    expected = run(program, data, record=names, count=tensors)
    # States are recorded as integers, tensors alone as floats; unwatched operations are fused.
    for record, count in ((names, ()), (tensors, tensors), ((), ())):
        found = cpu.run(program, data, record=record, count=count, threads=1)
        for tensor in record:
            np.testing.assert_array_equal(
                found.tensors[tensor], expected.tensors[tensor], f"{name}: {tensor}"
            )
        for tensor in count:
            np.testing.assert_array_equal(found.nonzeros[tensor], expected.nonzeros[tensor])
        np.testing.assert_array_equal(found.logits, expected.logits, name)
        np.testing.assert_array_equal(found.totals, expected.totals, name)
        assert found.saturations == expected.saturations, name
    same = Counter({type(program.readout).__name__: expected.logits.size})
    for tensor in names:
        kept = program.recordings[tensor]
        kind = type(kept.op).__name__
        same[f"{kind} states" if kept.state else kind] += expected.tensors[tensor].size
    return expected, same
