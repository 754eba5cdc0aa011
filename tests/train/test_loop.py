from __future__ import annotations

from typing import Any

import pytest
import torch

from neurossm.errors import InputError
from neurossm.models import Network
from neurossm.train import TrainLimits, TrainSettings, settings_of, train
from neurossm.train.config import TrainConfig
from neurossm.train.loop import fit
from neurossm.train.objective import accuracy, predict
from neurossm.train.optimizer import make_optimizer, schedule_factor, set_learning_rate
from neurossm.train.start import start
from neurossm.train.tasks import Samples, Task
from neurossm.train.tasks.token_order import token_order


def small(model: str, **values: Any) -> TrainSettings:
    given = {("", "task"): "token-order"} | {("training", k): v for k, v in values.items()}
    return settings_of(f"{model}-small", given=given)


@pytest.fixture(scope="module")
def task() -> Task:
    return token_order(length=16, vocabulary=4, samples=512)


def make(task: Task, model: str = "gsu") -> Network:
    torch.manual_seed(0)
    return start(small(model).model, task.input, task.classes)[0]


def test_schedules() -> None:
    # one-cycle: 1/25 of the peak at first, the peak at 30 %, half of it at 65 %, 0 at the end
    found = [schedule_factor("one-cycle", p, 0.3) for p in (0.0, 0.15, 0.3, 0.65, 1.0)]
    assert found == pytest.approx([0.04, 0.52, 1.0, 0.5, 0.0])
    found = [schedule_factor("cosine", p, 0.05) for p in (0.0, 0.025, 0.05, 0.525, 1.0)]
    assert found == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
    assert [schedule_factor("constant", p, 0.0) for p in (0.0, 1.0)] == [1.0, 1.0]
    assert schedule_factor("constant", 0.1, 0.4) == pytest.approx(0.25)
    warmups = [TrainConfig(1, schedule=kind).warmup for kind in ("one-cycle", "cosine", "constant")]
    assert warmups == [0.3, 0.05, 0.0]


def test_parameter_groups(task: Task) -> None:
    model = make(task)
    config = TrainConfig(1, lr=0.1, ssm_lr=0.01, weight_decay=0.3)
    optimizer = make_optimizer(model, config, fused=False)
    set_learning_rate(optimizer, 0.5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(seen) == len(names)
    assert seen["blocks.0.mixer.ssm.A_imag"] == (0.005, 0.0)
    assert seen["blocks.1.mixer.ssm.log_dt"] == (0.005, 0.0)
    assert seen["blocks.0.mixer.ssm.C"] == (0.05, 0.3)
    assert seen["blocks.0.mixer.weight"] == (0.05, 0.3)
    assert seen["blocks.0.norm.weight"] == (0.05, 0.0)
    assert seen["blocks.0.mixer.ssm.D"] == (0.05, 0.0)


@pytest.mark.parametrize("model", ["binary-s4d", "gsu"])
def test_training_learns_to_remember_order(model: str) -> None:
    """Chance is 50 %; the task needs memory of which marker came first."""
    easy = token_order(length=12, vocabulary=3, samples=1024)
    network = make(easy, model)
    reports = fit(network, easy, TrainConfig(12, batch_size=32))
    assert [report.epoch for report in reports] == list(range(1, 13))
    assert reports[-1].loss < 0.5 * reports[0].loss
    assert accuracy(network, easy.test) > 0.85
    assert not network.training


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"threshold": "dynamic"},
        {"threshold": "static", "gate_norm": "batch", "activation": "none"},
    ],
    ids=str,
)
def test_other_forms_of_gsu_learn_it_too(values: dict[str, Any]) -> None:
    easy = token_order(length=12, vocabulary=3, samples=1024)
    torch.manual_seed(0)
    network = start({**small("gsu").model, **values}, easy.input, easy.classes)[0]
    before = {name: value.clone() for name, value in network.named_parameters()}
    reports = fit(network, easy, TrainConfig(12, batch_size=32))
    assert reports[-1].loss < 0.5 * reports[0].loss
    assert accuracy(network, easy.test) > 0.85
    for name, value in network.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_same_seed_same_weights() -> None:
    outcomes = [
        train(small("binary-s4d", seed=seed), limits=TrainLimits(steps=1)).model.state_dict()
        for seed in (1, 1, 2)
    ]
    key = "blocks.0.mixer.dense.weight"
    assert torch.equal(outcomes[0][key], outcomes[1][key])
    assert not torch.equal(outcomes[0][key], outcomes[2][key])


def test_clipping_bounds_the_gradient(task: Task) -> None:
    moved = []
    for clip in (0.0, 1e-12):
        network = make(task)
        # AdamW normalises its steps, so look at the gradient that it was given
        fit(network, task, TrainConfig(1, batch_size=64, clip=clip), max_steps=1)
        assert network.decoder.bias.grad is not None
        moved.append(float(network.decoder.bias.grad.abs().max()))
    assert moved[0] > 1e-4
    assert moved[1] <= 1e-12


def test_too_large_a_batch(task: Task) -> None:
    with pytest.raises(InputError, match="batch size 1000 exceeds the 384 samples"):
        fit(make(task), task, TrainConfig(1, batch_size=1000))


def test_accuracy_counts(task: Task) -> None:
    network = make(task).eval()
    x = task.test.x[:7]
    classes = predict(network, x, batch_size=3)
    assert classes.shape == (7,)
    wrong = classes.clone()
    wrong[:2] = 1 - wrong[:2]
    assert accuracy(network, Samples(x, wrong)) == pytest.approx(5 / 7)
