from __future__ import annotations

import numpy as np
import torch

from neurossm.models import InputSpec, ModelConfig
from neurossm.models.binary_s4d import BinaryS4D


def test_mix_is_a_gated_sum_of_spikes() -> None:
    torch.manual_seed(0)
    layer = BinaryS4D(ModelConfig("binary-s4d", InputSpec.uint8(), 2, d_model=3, d_state=2))
    layer.double()
    y = torch.randn(2, 3, 5, dtype=torch.float64)
    y[0, 0, 0] = 0.0  # not above the threshold
    spikes = (y.numpy() > 0).astype(float)
    weight, bias = layer.dense.weight.detach().numpy(), layer.dense.bias.detach().numpy()
    mixed = np.einsum("oh,bhl->bol", weight, spikes) + bias[:, None]
    expected = mixed[:, :3] / (1 + np.exp(-mixed[:, 3:]))
    np.testing.assert_allclose(layer.mix(y).detach().numpy(), expected, atol=1e-14)


def test_parameters() -> None:
    layer = BinaryS4D(ModelConfig("binary-s4d", InputSpec.uint8(), 2, d_model=8, d_state=6))
    # log_dt 8, D 8, A_real_log and A_imag 8x3 each, B and C 8x3x2 each, W 16x8, b 16
    assert sum(p.numel() for p in layer.parameters()) == 16 + 2 * 24 + 2 * 48 + 128 + 16
