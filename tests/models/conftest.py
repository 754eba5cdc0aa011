"""Helpers of the model tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from neurossm.models import InputSpec, ModelConfig, Network

Make = Callable[..., Network]


@pytest.fixture
def make_network() -> Make:
    """Build a seeded float64 network whose norms have seen some data, in evaluation mode."""

    def make(seed: int = 0, dtype: torch.dtype = torch.float64, **values: Any) -> Network:
        sizes: dict[str, Any] = {
            "layer": "binary-s4d",
            "input": InputSpec.uint8(1),
            "classes": 3,
            "n_layers": 2,
            "d_model": 6,
            "d_state": 4,
        }
        config = ModelConfig(**(sizes | values))
        torch.manual_seed(seed)
        model = Network(config).to(dtype)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("norm.weight", "norm.bias")):
                    parameter += 0.3 * torch.randn_like(parameter)
            model.train()
            for _ in range(3):
                model(raw_input(config, 4, 50, dtype))
        return model.eval()

    return make


def raw_input(config: ModelConfig, batch: int, length: int, dtype: torch.dtype) -> Tensor:
    spec = config.input
    if spec.kind == "uint8":
        return torch.randint(0, 256, (batch, length, spec.size), dtype=torch.uint8)
    if spec.kind == "tokens":
        return torch.randint(0, spec.size, (batch, length))
    uniform = torch.rand(batch, length, spec.size, dtype=dtype)
    return spec.low + (spec.high - spec.low) * uniform


@pytest.fixture
def random_input() -> Callable[..., Tensor]:
    """Draw raw input for a configuration: `random_input(config, batch, length, dtype)`."""
    return raw_input


@pytest.fixture
def record_y() -> Callable[[Network], list[list[Tensor]]]:
    """Make a network keep the y of each layer, whichever form runs: `record_y(model)[layer]`."""

    def record(model: Network) -> list[list[Tensor]]:
        seen: list[list[Tensor]] = [[] for _ in model.blocks]
        for block, kept in zip(model.blocks, seen, strict=True):

            def mix(
                y: Tensor,
                valid: Tensor | None = None,
                kept: list[Tensor] = kept,
                mixer: Any = block.mixer,
            ) -> Tensor:
                kept.append(y.detach().clone())
                return type(mixer).mix(mixer, y, valid)

            block.mixer.mix = mix
        return seen

    return record
