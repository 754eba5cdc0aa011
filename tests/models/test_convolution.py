from __future__ import annotations

import numpy as np
import pytest
import torch

from neurossm.models.convolution import causal_convolution, fft_length


@pytest.mark.parametrize(("length", "n"), [(784, 1568), (1, 2), (2, 4), (5, 10), (1024, 2048)])
def test_length_of_the_transform(length: int, n: int) -> None:
    # 1568 = 2^5 7^2 >= 1567; 4 >= 3; 10 >= 9; 2048 >= 2047
    assert fft_length(length) == n


def test_length_has_small_factors() -> None:
    # 2 * 1009 - 1 = 2017; the next even number whose factors are 2, 3, 5 and 7 is 2048
    # (2018 = 2 1009, 2020 = 4 5 101, 2022 = 6 337, 2024 = 8 11 23, ..., 2040 = 8 3 5 17, 2048)
    assert fft_length(1009) == 2048


@pytest.mark.parametrize("length", [1, 2, 7, 50])
def test_equals_the_sum(length: int) -> None:
    rng = np.random.default_rng(length)
    u, kernel = rng.normal(size=(2, 3, length)), rng.normal(size=(3, length))
    expected = [[np.convolve(row, k)[:length] for row, k in zip(b, kernel, strict=True)] for b in u]
    found = causal_convolution(torch.from_numpy(u), torch.from_numpy(kernel))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_later_input_does_not_change_earlier_output() -> None:
    torch.manual_seed(0)
    kernel = torch.randn(2, 40, dtype=torch.float64)
    u = torch.randn(1, 2, 40, dtype=torch.float64)
    changed = u.clone()
    changed[..., 25:] += 1e3
    before, after = causal_convolution(u, kernel), causal_convolution(changed, kernel)
    assert float((before - after)[..., :25].abs().max()) < 1e-10
    assert float((before - after)[..., 25:].abs().max()) > 1.0


def test_gradients() -> None:
    torch.manual_seed(0)
    u = torch.randn(2, 3, 7, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(causal_convolution, (u, kernel))
