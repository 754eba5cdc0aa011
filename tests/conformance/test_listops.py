"""The shipped ListOps network: compiled, its first steps equal in fast engine and reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurossm.compile import compile_model
from neurossm.engine import cpu as fast
from neurossm.models import load
from neurossm.program import reference

CHECKPOINT = Path(__file__).parents[2] / "examples" / "lra" / "listops-gsu.pt"
FEW, STEPS = 3, 24


def test_first_steps() -> None:
    kept = load(CHECKPOINT)
    assert kept.calibration is not None
    x = np.ascontiguousarray(kept.calibration[:FEW, :STEPS])
    lengths = np.array([STEPS, STEPS - 7, STEPS])
    program = compile_model(CHECKPOINT, calibration=x)
    names = tuple(program.recordings)
    expected = reference.run(program, x, record=names, lengths=lengths)
    found = fast.run(program, x, record=names, lengths=lengths)
    np.testing.assert_array_equal(found.logits, expected.logits)
    for name in names:
        np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], name)
    assert len(np.unique(expected.logits)) > FEW
