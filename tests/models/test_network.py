"""The convolution form and the step form are the same function."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from neurossm.errors import InputError
from neurossm.models import InputSpec, Network
from neurossm.models.binary_s4d import BinaryS4D
from neurossm.models.gsu import StaticThreshold

Make = Callable[..., Network]
FORMS = [
    {"layer": "binary-s4d"},
    {"layer": "gsu", "threshold": "dynamic"},
    {"layer": "gsu", "threshold": "static"},
    {"layer": "gsu", "threshold": "static", "gate_norm": "batch", "activation": "none"},
]
INPUTS = [InputSpec.uint8(2), InputSpec.tokens(7), InputSpec.real(3, -1, 2)]


@torch.no_grad()
def step_through(model: Network, x: Tensor) -> Tensor:
    state = model.initial_state(len(x))
    logits = torch.empty(0)
    for t in range(x.shape[1]):
        logits, state = model.step(x[:, t], state)
    assert state.steps == x.shape[1]
    return logits


def spikes_of(mixer: Any, y: Tensor) -> Tensor:
    """Return the spikes (B, H, L) that a layer makes of y (B, H, L), by their definition."""
    if isinstance(mixer, BinaryS4D):
        return (y > 0).long()
    static = isinstance(mixer.threshold, StaticThreshold)
    bound = mixer.threshold.running if static else 0.15 * y.abs().amax(1, keepdim=True)
    return (y > bound).long() - (-y > bound).long()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("norm", "prenorm"), [*product(("batch", "layer", "none"), (True, False))])
@pytest.mark.parametrize("spec", INPUTS, ids=lambda spec: spec.kind)
def test_forms_agree(
    make_network: Make,
    random_input: Callable[..., Tensor],
    form: dict[str, Any],
    norm: str,
    prenorm: bool,
    spec: InputSpec,
) -> None:
    model = make_network(input=spec, norm=norm, prenorm=prenorm, **form)
    x = random_input(model.config, 3, 40, torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), step_through(model, x), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "values",
    [
        {"layer": "binary-s4d", "initialisation": "inv", "discretization": "bilinear"},
        {"layer": "binary-s4d", "initialisation": "lin", "discretization": "zoh"},
        {
            "layer": "gsu",
            "initialisation": "inv",
            "discretization": "bilinear",
            "threshold": "dynamic",
        },
        {"layer": "gsu", "threshold": "static"},
    ],
)
def test_full_size_in_double_precision(
    make_network: Make,
    record_y: Callable[[Network], list[list[Tensor]]],
    values: dict[str, Any],
) -> None:
    """4 layers x 128 channels x 784 steps: 1e-9, and every spike equal."""
    model = make_network(n_layers=4, d_model=128, d_state=64, **values)
    x = torch.randint(0, 256, (2, 784, 1), dtype=torch.uint8)
    seen = record_y(model)
    with torch.no_grad():
        whole = model(x)
    convolved = [kept.pop() for kept in seen]  # (B, H, L) per layer
    stepped = step_through(model, x)
    assert float((whole - stepped).abs().max()) < 1e-9
    compared = 0
    for block, y, steps in zip(model.blocks, convolved, seen, strict=True):
        y_steps = torch.cat(steps, dim=-1)
        assert float((y - y_steps).abs().max()) < 1e-9
        spikes = spikes_of(block.mixer, y)
        assert torch.equal(spikes, spikes_of(block.mixer, y_steps))
        assert 0.01 < float(spikes.abs().double().mean()) < 0.99
        compared += y.numel()
    assert compared == 4 * 2 * 128 * 784


@pytest.mark.parametrize(
    "values",
    [{"initialisation": "inv", "discretization": "bilinear"}, {}],
)
def test_single_precision_layer_by_layer(make_network: Make, values: dict[str, Any]) -> None:
    """On the same inputs: 2e-4 of the scale of y; flipped spikes lie that near the threshold."""
    model = make_network(n_layers=4, d_model=128, d_state=64, dtype=torch.float32, **values)
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for block in model.blocks:
        block.mixer.ssm.register_forward_hook(
            lambda _, args, y: (inputs.append(args[0]), outputs.append(y), None)[-1]
        )
    flips = 0
    with torch.no_grad():
        model(torch.randint(0, 256, (2, 784, 1), dtype=torch.uint8))
        assert len(inputs) == 4
        for block, u, y in zip(model.blocks, inputs, outputs, strict=True):
            assert y.dtype == torch.float32
            state = block.mixer.ssm.initial_state(2)
            rows = []
            for t in range(784):
                row, state = block.mixer.ssm.step(u[:, :, t], state)
                rows.append(row)
            stepped = torch.stack(rows, dim=-1)
            allowed = 2e-4 * float(y.abs().max())
            assert float((y - stepped).abs().max()) < allowed
            flipped = (y > 0) != (stepped > 0)
            flips += int(flipped.sum())
            assert bool((y[flipped].abs() < allowed).all())
    assert flips < 1e-4 * 4 * 2 * 128 * 784


def test_logits_are_those_of_the_steps_so_far(make_network: Make) -> None:
    model = make_network()
    x = torch.randint(0, 256, (2, 30, 1), dtype=torch.uint8)
    torch.testing.assert_close(step_through(model, x[:, :11]), model(x[:, :11]).detach())


def test_bytes_are_divided_by_255(make_network: Make) -> None:
    model = make_network()
    white = model.encode(torch.full((1, 1, 1), 255, dtype=torch.uint8))[0, 0]
    torch.testing.assert_close(white, (model.encoder.weight[:, 0] + model.encoder.bias))


def test_parameter_count() -> None:
    """The sizes of the trained models, added up by hand for 3 x 64, 16 modes, tied."""
    from neurossm.models import ModelConfig

    config = ModelConfig("gsu", InputSpec.uint8(), 10, 3, 64, 32, n_ssm=1, prenorm=False)
    # block: SSM 2*64 + 2*16 + 32 + 64*16*2, W 64*64, b 64, LayerNorm 128, BatchNorm 128
    block = 128 + 64 + 2048 + 4096 + 64 + 128 + 128
    assert Network(config).parameter_count() == 128 + 3 * block + 650


@pytest.mark.parametrize(
    ("spec", "x", "message"),
    [
        (InputSpec.uint8(1), torch.zeros(1, 5, 1), "expected uint8"),
        (InputSpec.uint8(1), torch.zeros(1, 5, 2, dtype=torch.uint8), "must have size 1"),
        (InputSpec.tokens(4), torch.zeros(1, 5), "expected integer tokens"),
        (InputSpec.real(1, 0, 1), torch.zeros(1, 5, 1, dtype=torch.long), "floating point"),
    ],
)
def test_unsuitable_input(make_network: Make, spec: InputSpec, x: Tensor, message: str) -> None:
    model = make_network(input=spec)
    with pytest.raises(InputError, match=message):
        model(x)
