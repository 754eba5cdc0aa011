"""Lava gives the golden vectors: every tensor, state, logit and count of clipped integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurossm import lava
from neurossm.errors import LimitError
from neurossm.program import Program

FOLDER = Path(__file__).parents[1] / "golden"
WIDE = {"norm-edges": "54 bits, but", "slow-poles": "40 bits, but"}
"""Programs of messages wider than Lava's 32 bits, and what is said."""
CASES = sorted(path.stem for path in FOLDER.glob("*.h5") if path.stem not in WIDE)


@pytest.mark.parametrize("case", CASES)
def test_lava(worker, case):
    program = Program.load(FOLDER / f"{case}.h5")
    with np.load(FOLDER / f"{case}.npz") as file:
        vectors = {name.replace(".state", ":state"): file[name] for name in file.files}
    names = tuple(program.recordings)
    ran = lava.run(program, vectors["data"], record=names, worker=worker)
    for name in names:
        assert np.array_equal(ran.tensors[name], vectors[f"tensors/{name}"]), name
    assert np.array_equal(ran.logits, vectors["logits"])
    counts = {f"saturations/{name}": n for name, n in ran.saturations.items()}
    assert counts == {name: n for name, n in vectors.items() if name.startswith("saturations/")}


@pytest.mark.parametrize("case", WIDE)
def test_messages_too_wide_for_lava_are_refused(worker, case):
    program = Program.load(FOLDER / f"{case}.h5")
    with np.load(FOLDER / f"{case}.npz") as file, pytest.raises(LimitError, match=WIDE[case]):
        lava.run(program, file["data"], worker=worker)
