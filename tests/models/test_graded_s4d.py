"""Graded S4D against a transcription in NumPy, from its raw parameters, step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import Tensor

from neurossm.errors import InputError
from neurossm.graph import GELUNode, ReLUNode
from neurossm.graph.evaluate import evaluate
from neurossm.models import InputSpec, ModelConfig, Network, load, save
from neurossm.models.export import export

Make = Callable[..., Network]
ACTIVATIONS = ("gelu", "relu")


def transcribed(model: Network, x: np.ndarray) -> np.ndarray:
    """Logits (B, classes) of bytes x (B, L, 1): prenorm BatchNorms, S4D with ZOH, GLU, mean."""
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    functions: dict[str, Any] = {
        "gelu": lambda v: v * (1 + erf(v / np.sqrt(2))) / 2,
        "relu": lambda v: np.where(v > 0, v, 0.0),
    }
    function = functions[str(model.config.activation)]

    def norm(name: str, h: np.ndarray) -> np.ndarray:
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-5)
        return (h - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]

    h = x / 255 @ w["encoder.weight"].T + w["encoder.bias"]  # (B, L, H)
    for i in range(model.config.n_layers):
        ssm, dense = f"blocks.{i}.mixer.ssm", f"blocks.{i}.mixer.dense"
        u = norm(f"blocks.{i}.norm", h)
        A = -np.exp(w[f"{ssm}.A_real_log"]) + 1j * w[f"{ssm}.A_imag"]
        B, C = (w[f"{ssm}.{name}"] @ np.array([1, 1j]) for name in "BC")
        A_bar = np.exp(np.exp(w[f"{ssm}.log_dt"])[:, None] * A)
        B_bar = B * (A_bar - 1) / A
        state, size = np.zeros((len(x), *A_bar.shape), complex), len(A_bar)
        for t in range(x.shape[1]):
            state = A_bar * state + B_bar * u[:, t, :, None]
            y = 2 * (C * state).sum(-1).real + w[f"{ssm}.D"] * u[:, t]
            mixed = function(y) @ w[f"{dense}.weight"].T + w[f"{dense}.bias"]
            h[:, t] += mixed[:, :size] / (1 + np.exp(-mixed[:, size:]))
    return norm("norm", h).mean(1) @ w["decoder.weight"].T + w["decoder.bias"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_model_and_graph_are_the_transcription(make_network: Make, activation: str) -> None:
    model = make_network(layer="s4d", activation=activation, d_model=16, d_state=8)
    x = torch.randint(0, 256, (3, 90, 1), dtype=torch.uint8)
    expected = transcribed(model, x.numpy())
    scale = np.abs(expected).max()
    with torch.no_grad():
        assert np.abs(model(x).numpy() - expected).max() < 1e-9 * scale
        state = model.initial_state(3)
        for t in range(90):
            logits, state = model.step(x[:, t], state)
    assert np.abs(logits.numpy() - expected).max() < 1e-9 * scale
    found = evaluate(export(model), x.numpy())["decoder"].reshape(3, -1)
    assert np.abs(found - expected).max() < 1e-9 * scale


@pytest.mark.parametrize(("activation", "node"), [("gelu", GELUNode), ("relu", ReLUNode)])
def test_names_in_the_graph(make_network: Make, activation: str, node: type) -> None:
    graph = export(make_network(n_layers=1, layer="s4d", activation=activation))
    reads = {found.name: found.inputs for found in graph.nodes}
    assert isinstance(graph[f"blocks.0.{activation}"], node)
    assert reads[f"blocks.0.{activation}"] == ("blocks.0.ssm",)
    assert reads["blocks.0.value"] == reads["blocks.0.gate"] == (f"blocks.0.{activation}",)
    assert reads["blocks.0.glu"] == ("blocks.0.value", "blocks.0.sigmoid")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_checkpoint_round_trip(make_network: Make, tmp_path: Path, activation: str) -> None:
    model = make_network(layer="s4d", activation=activation)
    save(tmp_path / "model.pt", model)
    found = load(tmp_path / "model.pt")
    x = torch.randint(0, 256, (5, 30, 1), dtype=torch.uint8)
    assert (found.config.layer, found.config.activation) == ("s4d", activation)
    assert torch.equal(found.model(x), model(x))


def test_gradients_reach_every_parameter(
    make_network: Make, random_input: Callable[..., Tensor]
) -> None:
    model = make_network(layer="s4d", activation="gelu").train()
    model(random_input(model.config, 4, 20, torch.float64)).square().sum().backward()
    assert all(bool(value.grad.abs().sum() > 0) for value in model.parameters())


@pytest.mark.parametrize(
    ("layer", "activation", "message"),
    [
        ("s4d", None, "activation is missing; layer s4d has gelu, relu"),
        ("s4d", "none", "activation is 'none'; layer s4d has gelu, relu"),
        ("gsu", "relu", "activation is 'relu'; layer gsu has gelu, none"),
        ("binary-s4d", "tanh", "activation is 'tanh'; layer binary-s4d has gelu, relu, none"),
    ],
)
def test_an_activation_is_asked_for(layer: Any, activation: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ModelConfig(layer, InputSpec.uint8(), 2, activation=activation)


def test_a_gsu_has_gelu_unless_told_otherwise() -> None:
    assert ModelConfig("gsu", InputSpec.uint8(), 2).activation == "gelu"
    old = ModelConfig("binary-s4d", InputSpec.uint8(), 2).to_dict() | {"activation": "gelu"}
    assert ModelConfig.from_dict(old).layer == "binary-s4d"
