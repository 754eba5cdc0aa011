from __future__ import annotations

import torch
from torch import Tensor

from neurossm.models.surrogate import spike, ternary


def values(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


def test_spike_is_one_above_zero_only() -> None:
    z = values(-1.0, -1e-300, 0.0, 1e-300, 3.0)
    assert spike(z).tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_gradient_is_the_fast_sigmoid_of_slope_25() -> None:
    # 1/(25|z|+1)^2: at 0: 1; at 0.2: 1/6^2; at -1: 1/26^2
    z = values(0.0, 0.2, -1.0)
    spike(z).backward(torch.tensor([1.0, 36.0, -676.0], dtype=torch.float64))
    assert z.grad is not None
    torch.testing.assert_close(z.grad, torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))


def test_ternary_and_its_gradients() -> None:
    z, d = values(0.5, -0.5, 0.3, -0.1, 0.31), values(0.3)
    out = ternary(z, d)
    assert out.tolist() == [1.0, -1.0, 0.0, 0.0, 1.0]  # |z| = d gives 0
    out[0].backward()
    # z - d = 0.2 and -z - d = -0.8: dT/dz = 1/6^2 + 1/21^2, dT/dd = -1/6^2 + 1/21^2
    assert z.grad is not None
    assert d.grad is not None
    torch.testing.assert_close(z.grad[0].item(), 1 / 36 + 1 / 441)
    torch.testing.assert_close(d.grad.item(), -1 / 36 + 1 / 441)


def test_type_is_kept() -> None:
    assert spike(torch.zeros(2)).dtype == torch.float32
    assert spike(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64
