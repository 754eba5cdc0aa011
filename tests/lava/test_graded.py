"""Graded S4D on Lava: every integer that of the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurossm.compile import compile_model
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.models.export import export


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_compiled_models(worker, new_tally, activation: str, norm: str) -> None:
    torch.manual_seed(0)
    sizes = {"n_layers": 2, "d_model": 5, "d_state": 4, "dt_max": 0.5}
    config = ModelConfig("s4d", InputSpec.uint8(1), 3, norm=norm, activation=activation, **sizes)
    program = compile_model(export(Network(config).double().eval()))
    data = np.random.default_rng(1).integers(0, 256, (3, 12, 1), np.uint8)
    tally = new_tally()
    tally.compare(program, data, worker)
    assert tally.integers["Dense"] == 3 * 12 * (1 + 2 * 2) * 5  # encoder; two halves in two blocks
    graded = {"gelu": "Table", "relu": "Relu"}[activation]
    assert tally.integers[graded] >= 3 * 12 * 2 * 5
