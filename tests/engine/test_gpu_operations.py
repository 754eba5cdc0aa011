"""The GPU engine derives operations that it has never heard of from their equations.

Here on a CPU, and on a GPU where there is one; `interpreted.py` runs the fused kernels on a CPU.
"""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurossm.engine import gpu
from neurossm.program import reference

HERE = Path(__file__).parent
SIZES = ((6, 5), (18, 1), (25, 8), (36, 3), (18, 33))
"""Bits of the input, and channels."""


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    return runpy.run_path(str(HERE / "gpu_operations.py"))


@pytest.mark.parametrize(
    ("device", "kernels"),
    [("cpu", "plain")]
    + [pytest.param("cuda", kernels, marks=pytest.mark.gpu) for kernels in ("plain", "fused")],
)
@pytest.mark.parametrize(("bits", "channels"), SIZES)
def test_equal_to_the_reference(
    operations: dict[str, Any],
    tally: Counter[str],
    bits: int,
    channels: int,
    device: str,
    kernels: str,
) -> None:
    """With all states recorded, with the outputs alone, and with nothing."""
    for name, program in operations["programs"](bits, channels).items():
        data = operations["data_for"](program, 3, 9)
        everything = tuple(program.recordings)
        outputs = tuple(n for n, one in program.recordings.items() if one.state is None)
        expected = reference.run(program, data, everything)
        assert channels < 5 or expected.saturations, "nothing saturates"
        for kept in (everything, outputs, ()):
            found = gpu.run(program, data, kept, device=device, kernels=kernels, memory=3_000)
            np.testing.assert_array_equal(found.logits, expected.logits, name)
            assert found.saturations == expected.saturations, name
            for tensor in kept:
                np.testing.assert_array_equal(found.tensors[tensor], expected.tensors[tensor])
                tally[name] += found.tensors[tensor].size
