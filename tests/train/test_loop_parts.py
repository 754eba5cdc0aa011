"""Gradient accumulation, averages of weights and logs do what they say."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.train.config import TrainConfig
from neurossm.train.loop import Trainer
from neurossm.train.stepper import Stepper
from neurossm.train.tasks.token_order import token_order
from neurossm.train.watch import EpochReport, TensorBoardLog, Watch


def small() -> Network:
    """Return a network without statistics of a batch, in float64."""
    torch.manual_seed(0)
    config = ModelConfig("binary-s4d", InputSpec.tokens(4), 2, 2, 8, 4, norm="layer")
    return Network(config).double()


def test_parts_of_a_batch_make_the_step_of_the_batch() -> None:
    samples = token_order(length=10, vocabulary=4, samples=250).train.take(slice(16))
    found = []
    for parts in (1, 4):
        model = small().train()
        before = copy.deepcopy(model.state_dict())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        stepper = Stepper(model, optimizer, TrainConfig(1, 16, accumulate=parts, clip=0.3))
        loss = stepper(samples)
        found.append((loss, model.state_dict()))
        assert not torch.equal(model.state_dict()["decoder.weight"], before["decoder.weight"])
    (loss, whole), (other, together) = found
    torch.testing.assert_close(other, loss)
    for name, value in whole.items():
        torch.testing.assert_close(together[name], value, msg=name)


def test_the_average_is_that_of_the_recurrence() -> None:
    """It begins with the weights after the first step; then 0.8 average + 0.2 weights."""
    task = token_order(length=10, vocabulary=4, samples=250)
    trainer = Trainer(small(), task, TrainConfig(2, 64, ema=0.8, lr=0.05))
    seen: list[dict[str, torch.Tensor]] = []

    class Seen(Watch):
        def step(self, done: int, total: int) -> None:
            seen.append(copy.deepcopy(trainer.model.state_dict()))

    trainer.run([Seen()])
    assert len(seen) == trainer.steps >= 4
    average = seen[0]
    for weights in seen[1:]:
        average = {name: 0.8 * average[name] + 0.2 * weights[name] for name in average}
    kept = trainer.kept()
    for name, value in average.items():
        torch.testing.assert_close(kept[name], value, msg=name)
    assert not torch.allclose(kept["decoder.weight"], seen[-1]["decoder.weight"])


def test_tensorboard_reads_back_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reports = [
        EpochReport(1, 10, 0.75, None, 1.0, 2.0, 64.0),
        EpochReport(2, 20, 0.5, 0.875, 0.25, 4.0, 32.0),
    ]
    log = TensorBoardLog(tmp_path)
    log.epoch(reports[:1], 20)
    log.epoch(reports, 20)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    read = {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }
    assert read == {
        "loss": [(10, 0.75), (20, 0.5)],
        "held_out_accuracy": [(20, 0.875)],
        "lr": [(10, 1.0), (20, 0.25)],
        "seconds": [(10, 2.0), (20, 4.0)],
        "samples_per_second": [(10, 64.0), (20, 32.0)],
    }
