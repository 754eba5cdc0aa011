"""Statistics of a batch whose sequences end early: those of the valid steps, joined."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neurossm.models import InputSpec, Network
from neurossm.models.valid import normed, normed_rows, valid_steps

Make = Callable[..., Network]
LENGTHS = torch.tensor([7, 1, 20, 12])


@pytest.mark.parametrize("function", [normed, normed_rows])
def test_batch_norm_of_valid_steps_is_that_of_the_steps_joined(
    function: Callable[[nn.Module, Tensor, Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3).double()
    with torch.no_grad():
        norm.weight += torch.randn(3)
        norm.bias += torch.randn(3)
    other = copy.deepcopy(norm)
    valid = valid_steps(LENGTHS, 20)
    x = torch.randn(4, 3, 20, dtype=torch.float64)
    filled = torch.where(valid.unsqueeze(1), x, 1e9).requires_grad_()
    joined = x.transpose(1, 2)[valid].requires_grad_()  # (40, 3)
    found, expected = function(norm, filled, valid), other(joined)
    torch.testing.assert_close(found.transpose(1, 2)[valid], expected)
    weight = torch.randn_like(expected)
    (found.transpose(1, 2)[valid] * weight).sum().backward()
    (expected * weight).sum().backward()
    assert filled.grad is not None
    torch.testing.assert_close(filled.grad.transpose(1, 2)[valid], joined.grad)
    assert not filled.grad.transpose(1, 2)[~valid].any()
    for one, two in zip((*norm.parameters(),), (*other.parameters(),), strict=True):
        torch.testing.assert_close(one.grad, two.grad)
    for one, two in zip(norm.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two)


def alone(model: Network, samples: Sequence[Tensor]) -> Tensor:
    """Return logits of samples (steps, size): statistics of all steps joined, the rest alone."""
    steps = [len(sample) for sample in samples]

    def joined(function: Callable[[Tensor], Tensor], parts: Sequence[Tensor]) -> Any:
        return function(torch.cat([*parts], dim=-1)).split(steps, dim=-1)

    hidden: Any = [model.encode(sample).T.unsqueeze(0) for sample in samples]  # (1, H, steps)
    for block in model.blocks:
        u = joined(block.norm, hidden) if block.prenorm else hidden
        mixed = joined(block.mixer.mix, [block.mixer.ssm(part) for part in u])
        hidden = [x + out for x, out in zip(hidden, mixed, strict=True)]
        if not block.prenorm:
            hidden = joined(block.norm, hidden)
    hidden = joined(model.norm, hidden)
    logits: Tensor = model.decoder(torch.cat([part.mean(dim=-1) for part in hidden]))
    return logits


@pytest.mark.parametrize(
    "values",
    [
        {"layer": "binary-s4d"},
        {"layer": "binary-s4d", "norm": "layer"},
        {"layer": "s4d", "activation": "gelu", "prenorm": False},
        {"layer": "gsu"},
        {"layer": "gsu", "threshold": "dynamic", "norm": "layer"},
        {"layer": "gsu", "gate_norm": "batch", "prenorm": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("filling", [float("nan"), 1e9])
def test_a_batch_with_filling_trains_as_its_samples_alone(
    make_network: Make, values: dict[str, Any], filling: float
) -> None:
    model = make_network(input=InputSpec.real(2, -3, 3), **values).train()
    other = copy.deepcopy(model)
    x = torch.randn(4, 20, 2, dtype=torch.float64).clamp(-3, 3)
    samples = [sample[:steps].clone() for sample, steps in zip(x, LENGTHS.tolist(), strict=True)]
    x[~valid_steps(LENGTHS, 20)] = filling
    found, expected = model(x, LENGTHS), alone(other, samples)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    weight = torch.randn_like(expected)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-8, atol=1e-10, msg=name)
    for (name, one), two in zip(model.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10, msg=name)


def test_tokens_behind_the_end_may_be_none_at_all(make_network: Make) -> None:
    model = make_network(input=InputSpec.tokens(5)).train()
    other = copy.deepcopy(model)
    x = torch.randint(0, 5, (4, 20))
    samples = [sample[:steps].clone() for sample, steps in zip(x, LENGTHS.tolist(), strict=True)]
    x[~valid_steps(LENGTHS, 20)] = -1
    torch.testing.assert_close(model(x, LENGTHS), alone(other, samples), rtol=0, atol=1e-10)


@torch.no_grad()
def test_the_threshold_is_the_mean_over_valid_steps_of_all_processes(make_network: Make) -> None:
    threshold = make_network(layer="gsu").blocks[0].mixer.threshold.train()
    y = torch.tensor([[[1.0, -2.0], [9.0, 9.0]], [[3.0, 0.0], [0.0, -4.0]]])
    valid = torch.tensor([[True, False], [True, True]])
    assert float(threshold(y, valid)) == pytest.approx(0.15 * (2 + 3 + 4) / 3)
    # another process has a sum of 1 over 7 steps: the mean over both is that of 10 steps
    threshold.average = lambda value: (value + torch.tensor([1.0, 7.0])) / 2
    assert float(threshold(y, valid)) == pytest.approx(0.15 * (9 + 1) / 10)
