from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from neurossm.models import InputSpec, ModelConfig
from neurossm.models.ssm import S4D, impulse_response, initial_poles, kernels, powers


def make(**values: Any) -> S4D:
    sizes = {"layer": "binary-s4d", "input": InputSpec.uint8(), "classes": 2, "d_model": 4}
    torch.manual_seed(1)
    return S4D(ModelConfig(**(sizes | {"d_state": 6} | values))).double()


def recurrence(layer: S4D, u: np.ndarray) -> np.ndarray:
    """y of u (B, H, L), by the definition, in NumPy, from the raw parameters."""
    get = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    H = len(get["D"])
    index = np.arange(H) % len(get["A_imag"])
    A = (-np.exp(get["A_real_log"]) + 1j * get["A_imag"])[index]
    B = (get["B"][..., 0] + 1j * get["B"][..., 1])[index]
    C = get["C"][..., 0] + 1j * get["C"][..., 1]
    dt = np.exp(get["log_dt"])[:, None]
    if layer.discretization == "bilinear":
        A_bar, B_bar = (1 + dt * A / 2) / (1 - dt * A / 2), dt * B / (1 - dt * A / 2)
    else:
        A_bar, B_bar = np.exp(dt * A), B * (np.exp(dt * A) - 1) / A
    state = np.zeros((len(u), *A.shape), complex)
    y = np.empty(u.shape)
    for t in range(u.shape[-1]):
        state = A_bar * state + B_bar * u[:, :, t, None]
        y[:, :, t] = 2 * (C * state).sum(-1).real + get["D"] * u[:, :, t]
    return y


def test_initial_poles() -> None:
    # S4D-Lin: i pi n. S4D-Inv with N' = 4: n = 0: 4/pi (4 - 1); n = 1: 4/pi (4/3 - 1)
    lin, inv = initial_poles("lin", 3), initial_poles("inv", 2)
    np.testing.assert_allclose(lin.numpy(), [-0.5, -0.5 + 1j * math.pi, -0.5 + 2j * math.pi])
    np.testing.assert_allclose(inv.numpy(), [-0.5 + 12j / math.pi, -0.5 + 4j / (3 * math.pi)])


def test_fresh_layer() -> None:
    layer = make(d_model=200, dt_min=0.01, dt_max=0.02, n_ssm=2)
    dt = layer.log_dt.detach().exp()
    assert float(dt.min()) >= 0.01
    assert float(dt.max()) <= 0.02
    assert float(dt.max() - dt.min()) > 0.008
    assert layer.A_imag.shape == (2, 3)
    assert layer.C.shape == (200, 3, 2)
    torch.testing.assert_close(layer.A_real_log.exp(), torch.full((2, 3), 0.5).double())


def test_discretisation_by_hand() -> None:
    # A = -1 + 2i, dt = 0.5: bilinear (1 - 0.25 + 0.5i)/(1 + 0.25 - 0.5i), zoh exp(-0.5 + i)
    for rule, a_bar, b_bar in (
        ("bilinear", (0.75 + 0.5j) / (1.25 - 0.5j), 0.5 * 3j / (1.25 - 0.5j)),
        ("zoh", np.exp(-0.5 + 1j), 3j * (np.exp(-0.5 + 1j) - 1) / (-1 + 2j)),
    ):
        layer = make(d_model=1, d_state=2, discretization=rule)
        with torch.no_grad():
            layer.log_dt.fill_(math.log(0.5))
            layer.A_real_log.fill_(0.0)
            layer.A_imag.fill_(2.0)
            layer.B.copy_(torch.tensor([[[0.0, 3.0]]]))
        found = [value.item() for value in layer.discretise()]
        np.testing.assert_allclose(found, [a_bar, b_bar], rtol=1e-14)


def test_powers() -> None:
    base = torch.tensor([0.5 + 0.5j, 0.0, -0.9j], dtype=torch.complex128)
    for count in (1, 2, 3, 8, 13):
        expected = base.numpy()[:, None] ** np.arange(count)
        np.testing.assert_allclose(powers(base, count).numpy(), expected, atol=1e-15)


@pytest.mark.parametrize("length", [1, 2, 3, 28, 29, 100])
def test_impulse_response(length: int) -> None:
    rng = np.random.default_rng(length)
    a = rng.uniform(0.5, 1, (2, 3)) * np.exp(1j * rng.uniform(-3, 3, (2, 3)))
    w = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    expected = 2 * (w[..., None] * a[..., None] ** np.arange(length)).sum(1).real
    found = impulse_response(torch.from_numpy(a), torch.from_numpy(w), length)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_impulse_response_gradients_at_a_zero_pole() -> None:
    a = torch.tensor([[0.0, 0.7 - 0.1j]], dtype=torch.complex128, requires_grad=True)
    w = torch.tensor([[1.0 + 1j, -0.5j]], dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, w: impulse_response(a, w, 11), (a, w))


@pytest.mark.parametrize("rule", ["bilinear", "zoh"])
@pytest.mark.parametrize("kind", ["inv", "lin"])
@pytest.mark.parametrize("n_ssm", [None, 1, 2])
def test_both_forms_equal_the_definition(rule: str, kind: str, n_ssm: int | None) -> None:
    layer = make(discretization=rule, initialisation=kind, n_ssm=n_ssm)
    with torch.no_grad():  # make tied poles differ from each other
        layer.A_imag.add_(torch.randn_like(layer.A_imag))
        layer.B.add_(torch.randn_like(layer.B))
    u = torch.randn(2, 4, 60, dtype=torch.float64)
    expected = recurrence(layer, u.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(layer(u).numpy(), expected, atol=1e-11)
        state = layer.initial_state(2)
        for t in range(60):
            y, state = layer.step(u[:, :, t], state)
            np.testing.assert_allclose(y.numpy(), expected[:, :, t], atol=1e-11)


def test_kernels_at_once_equal_kernels_one_by_one() -> None:
    layers = [make(n_ssm=2), make(n_ssm=2)]
    with torch.no_grad():
        layers[1].C.mul_(-0.5)
        together = kernels(layers, 30)
        torch.testing.assert_close(together[0], layers[0].kernel(30))
        torch.testing.assert_close(together[1], layers[1].kernel(30))


def test_gradients_reach_every_parameter() -> None:
    layer = make()
    u = torch.randn(1, 4, 9, dtype=torch.float64)
    names = [name for name, _ in layer.named_parameters()]
    assert set(names) == {"log_dt", "A_real_log", "A_imag", "B", "C", "D"}

    def function(*values: torch.Tensor) -> torch.Tensor:
        out = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (u,))
        assert isinstance(out, torch.Tensor)
        return out

    values = tuple(p.detach().clone().requires_grad_() for p in layer.parameters())
    assert torch.autograd.gradcheck(function, values)


def test_float32_kernel_is_made_in_double_precision() -> None:
    # a pole of |A_bar| = 0.99999: float32 powers would be off by 1e-4 at the end of 4096 steps
    layer = make(dt_min=2e-5, dt_max=2e-5).float()
    exact = make(dt_min=2e-5, dt_max=2e-5)
    exact.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert layer.kernel(4096).dtype == torch.float64
        torch.testing.assert_close(layer.kernel(4096), exact.kernel(4096), rtol=1e-13, atol=0)
