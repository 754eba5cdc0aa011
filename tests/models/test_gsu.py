from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import erf
from torch import Tensor

from neurossm.models import InputSpec, ModelConfig
from neurossm.models.gsu import GSU, DynamicThreshold, StaticThreshold


def make(size: int = 5, **values: Any) -> GSU:
    torch.manual_seed(3)
    config = ModelConfig("gsu", InputSpec.uint8(), 2, d_model=size, d_state=4, **values)
    layer = GSU(config).double()
    with torch.no_grad():
        layer.norm.weight.copy_(1 + 0.3 * torch.randn(size))
        layer.norm.bias.copy_(0.3 * torch.randn(size))
    return layer


def transcription(layer: GSU, y: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The layer's output (L, H) for y (L, H), formula by formula, in NumPy."""
    W, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    gain, shift = layer.norm.weight.detach().numpy(), layer.norm.bias.detach().numpy()
    d_W = 0.15 * np.abs(W).max()
    W_ternary = np.sign(W) * (np.abs(W) > d_W)
    out = np.empty(y.shape)
    for t, row in enumerate(y):
        spikes = (row > thresholds[t]).astype(float) - (-row > thresholds[t]).astype(float)
        product = (spikes @ W + b) * (row @ W_ternary)
        normed = (product - product.mean()) / np.sqrt(product.var() + 1e-5) * gain + shift
        out[t] = normed * 0.5 * (1 + erf(normed / math.sqrt(2)))
    return out


def surrogate_transcription(layer: GSU, y: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """The dynamic form (B, L, H) with H replaced by a function that torch differentiates itself.

    H(z) = [z > 0] in value, and the gradient of the fast sigmoid g(z) = z / (1 + 25 |z|), which is
    1 / (1 + 25 |z|)^2.
    """

    def heaviside(z: Tensor) -> Tensor:
        smooth = z / (1 + 25 * z.abs())
        return (z > 0).double() + smooth - smooth.detach()

    d_y = 0.15 * y.abs().max(dim=-1, keepdim=True)[0]
    d_W = 0.15 * W.abs().max()
    first = (heaviside(y - d_y) - heaviside(-y - d_y)) @ W + b
    second = y @ (heaviside(W - d_W) - heaviside(-W - d_W))
    product = first * second
    mean = product.mean(-1, keepdim=True)
    variance = product.var(-1, unbiased=False, keepdim=True)
    normed = (product - mean) / (variance + 1e-5).sqrt() * layer.norm.weight + layer.norm.bias
    return normed * 0.5 * (1 + torch.erf(normed / math.sqrt(2)))


def test_dynamic_form_equals_the_formulas() -> None:
    layer = make(threshold="dynamic")
    y = torch.randn(2, 5, 40, dtype=torch.float64)
    found = layer.mix(y).detach().numpy()
    for sample in range(2):
        rows = y[sample].T.numpy()
        expected = transcription(layer, rows, 0.15 * np.abs(rows).max(1))
        np.testing.assert_allclose(found[sample].T, expected, atol=1e-10)


def test_static_form_equals_the_formulas_with_one_threshold() -> None:
    layer = make(threshold="static").eval()
    layer.threshold.running.fill_(0.4)
    y = torch.randn(1, 5, 40, dtype=torch.float64)
    expected = transcription(layer, y[0].T.numpy(), np.full(40, 0.4))
    np.testing.assert_allclose(layer.mix(y)[0].T.detach().numpy(), expected, atol=1e-10)


def test_gradients_equal_those_of_the_formulas() -> None:
    layer = make(threshold="dynamic")
    y = torch.randn(2, 5, 30, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 5, 30, dtype=torch.float64)
    leaves = (y, layer.weight, layer.bias, layer.norm.weight, layer.norm.bias)
    found = torch.autograd.grad((layer.mix(y) * weight).sum(), leaves)
    plain = surrogate_transcription(layer, y.transpose(1, 2), layer.weight, layer.bias)
    expected = torch.autograd.grad((plain.transpose(1, 2) * weight).sum(), leaves)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_surrogate_gradient_at_the_threshold() -> None:
    # y = d exactly: T = 0, and dT/dy = 1/(25*0+1)^2 + 1/(25*2d+1)^2
    layer = make(threshold="static").eval()
    layer.threshold.running.fill_(0.5)
    y = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    from neurossm.models.surrogate import ternary

    spikes = ternary(y, layer.threshold(y))
    assert spikes.item() == 0.0
    spikes.backward()
    assert y.grad is not None
    assert y.grad.item() == pytest.approx(1 + 1 / 26**2)


def test_gradients_at_the_thresholds_equal_those_of_the_formulas() -> None:
    """y and W lie on their thresholds to the bit: there the surrogate's slope is 1."""
    layer = make(threshold="dynamic")
    with torch.no_grad():
        layer.weight.copy_(0.1 * layer.weight.clamp(-1, 1))
        layer.weight[0, 0], layer.weight[1, 2], layer.weight[3, 3] = 2.0, 0.15 * 2.0, -0.15 * 2.0
    y = torch.randn(1, 5, 6, dtype=torch.float64)
    y[0, :, 2] = torch.tensor([4.0, 0.15 * 4.0, -0.15 * 4.0, 0.0, -1.0], dtype=torch.float64)
    y.requires_grad_()
    weight = torch.randn(1, 5, 6, dtype=torch.float64)
    leaves = (y, layer.weight, layer.bias)
    found = torch.autograd.grad((layer.mix(y) * weight).sum(), leaves)
    plain = surrogate_transcription(layer, y.transpose(1, 2), layer.weight, layer.bias)
    expected = torch.autograd.grad((plain.transpose(1, 2) * weight).sum(), leaves)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": "dynamic"},
        {"threshold": "static"},
        {"threshold": "static", "gate_norm": "batch", "activation": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
def test_gradcheck_without_the_surrogate(
    values: dict[str, Any], training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Away from thresholds spikes are constant: with no surrogate, numbers must agree."""

    def constant(z: Tensor, threshold: Tensor) -> Tensor:
        return ((z > threshold).double() - (-z > threshold).double()).detach()

    monkeypatch.setattr("neurossm.models.gsu.ternary", constant)
    layer = make(**values).train(training)
    y = torch.randn(1, 5, 4, dtype=torch.float64, requires_grad=True)
    if values["threshold"] == "static":
        layer.threshold.running.fill_(0.3)
    threshold = 0.15 * y.abs().amax(1, keepdim=True)
    if values["threshold"] == "static":
        threshold = threshold.mean() if training else layer.threshold.running
    assert float((y.abs() - threshold).detach().abs().min()) > 1e-3
    size = layer.weight.detach().abs()
    assert float((size - 0.15 * size.max()).abs().min()) > 1e-4
    names = ("weight", "bias", "norm.weight", "norm.bias")

    def function(y: Tensor, *leaves: Tensor) -> Tensor:
        before = layer.state_dict()
        statistics = {k: v.clone() for k, v in before.items() if k not in names}
        call = dict(zip(names, leaves, strict=True)) | statistics  # no call leaves a trace
        out = torch.func.functional_call(_Mix(layer), {f"layer.{k}": v for k, v in call.items()}, y)
        assert isinstance(out, Tensor)
        return out

    leaves = [layer.get_parameter(name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(function, (y, *leaves), eps=1e-6)


class _Mix(torch.nn.Module):
    """Call `mix`, which is no layer's `forward`."""

    def __init__(self, layer: GSU) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, y: Tensor) -> Tensor:
        return self.layer.mix(y)


def test_static_threshold_is_a_running_estimate() -> None:
    threshold = StaticThreshold(0.15).double().train()
    y = torch.tensor([[[1.0, -4.0], [2.0, 0.0]]], dtype=torch.float64)  # (B, L, H) = (1, 2, 2)
    # factor * mean over steps of the largest |y|: 0.15 * (4 + 2) / 2 = 0.45
    assert float(threshold(y)) == pytest.approx(0.45)
    assert float(threshold.running) == pytest.approx(0.9 * 1 + 0.1 * 0.45)
    threshold.eval()
    assert float(threshold(100 * y)) == pytest.approx(0.945)
    assert float(threshold.running) == pytest.approx(0.945)


def test_dynamic_threshold_is_per_step() -> None:
    y = torch.tensor([[[1.0, -4.0], [2.0, 0.0]]])
    torch.testing.assert_close(DynamicThreshold(0.15)(y), torch.tensor([[[0.6], [0.3]]]))


def test_threshold_of_the_whole_layer_freezes_in_evaluation() -> None:
    layer = make(threshold="static").train()
    y = 3 * torch.randn(2, 5, 20, dtype=torch.float64)
    layer.mix(y)
    frozen = layer.threshold.running.clone()
    assert float(frozen) != 1.0
    layer.eval().mix(y)
    assert torch.equal(layer.threshold.running, frozen)


def test_batch_norm_and_no_activation() -> None:
    layer = make(gate_norm="batch", activation="none", threshold="dynamic").train()
    with torch.no_grad():
        layer.norm.weight.fill_(1)
        layer.norm.bias.fill_(0)
    out = layer.mix(torch.randn(3, 5, 50, dtype=torch.float64)).detach()
    # normalised over batch and time, channel by channel, and negative values not cut off
    np.testing.assert_allclose(out.mean((0, 2)).numpy(), np.zeros(5), atol=1e-12)
    np.testing.assert_allclose(out.var((0, 2), unbiased=False).numpy(), np.ones(5), atol=1e-3)


def test_activation_is_the_exact_gelu() -> None:
    plain, active = make(activation="none"), make(activation="gelu")
    y = torch.randn(1, 5, 10, dtype=torch.float64)
    torch.testing.assert_close(active.mix(y), F.gelu(plain.mix(y)))
