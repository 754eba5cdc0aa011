"""What the shipped models cost, on real digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurossm.compile import compile_model
from neurossm.cost import Counts, profile

EXAMPLES = Path(__file__).parents[2] / "examples" / "smnist"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binary_s4d", "binary_s4d_small", "gsu", "gsu_small"])
def test_work_is_spread_evenly_and_sums_up(name: str) -> None:
    with np.load(EXAMPLES / "mnist_test.npz") as archive:
        x = archive["x"][:20]
    result = profile(compile_model(EXAMPLES / f"{name}.pt"), x)
    assert result.imbalance is not None
    assert result.imbalance <= 1.25
    assert result.placement is not None
    assert result.placement.chips_used == 1
    assert Counts.sum(core.counts for core in result.cores) == result.totals
    # The states cost more than all synaptic operations, spikes or not: say so, not hide it.
    assert result.totals.state_multiplies + result.totals.state_adds > result.totals.Dense
