"""Batches of samples of like lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neurossm.errors import InputError
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.train.batches import bucket_steps, epoch_batches
from neurossm.train.config import TrainConfig
from neurossm.train.loop import Trainer
from neurossm.train.objective import loss_of
from neurossm.train.tasks import Samples, Task
from neurossm.train.tasks.token_order import token_order


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_sample_once_and_like_lengths_together() -> None:
    steps = torch.randint(500, 2001, (9603,), generator=generator())
    batches = epoch_batches(steps, 32, 256, generator(1))
    assert batches.shape == (300, 32)
    assert len(batches.unique()) == 9600
    read = steps[batches]
    spread = (read.amax(1) - read.amin(1)).float().mean()
    assert spread < 1500 / 25  # sorted pools of 50 batches: a fiftieth of the range on average
    assert read.amax(1).float().std() > 300  # and short and long batches take turns
    assert not torch.equal(read.amax(1), read.amax(1).sort().values)


def test_without_buckets_the_order_is_a_permutation() -> None:
    expected = torch.randperm(10, generator=generator(3))[:9].reshape(3, 3)
    assert torch.equal(epoch_batches(torch.full((10,), 7), 3, 0, generator(3)), expected)


@pytest.mark.parametrize(
    ("longest", "bucket", "read"), [(500, 256, 512), (512, 256, 512), (513, 256, 768),
                                    (1990, 256, 2000), (7, 0, 2000)],
)  # fmt: skip
def test_least_multiple_that_holds_the_longest(longest: int, bucket: int, read: int) -> None:
    assert bucket_steps(longest, bucket, 2000) == read


def test_steps_read_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(0, 5, (64, 40), generator=generator())
    lengths = torch.randint(1, 41, (64,), generator=generator(1))
    samples = Samples(x, x[:, 0] % 2, lengths)
    nothing = samples.take(slice(0))
    task = Task("ours", InputSpec.tokens(5), 2, samples, nothing, nothing)
    model = Network(ModelConfig("binary-s4d", task.input, 2, 1, 4, 2, norm="none", dropout=0.0))
    trainer = Trainer(model, task, TrainConfig(2, batch_size=8, bucket=16))
    found: list[tuple[int, int]] = []
    step = trainer.stepper._step

    def watched(batch: Samples) -> Any:
        assert batch.lengths is not None
        found.append((batch.x.shape[1], int(batch.lengths.max())))
        chosen = [int((x[:, : batch.x.shape[1]] == row).all(1).nonzero()[0]) for row in batch.x]
        whole = samples.take(torch.tensor(chosen))
        model.eval()
        torch.testing.assert_close(loss_of(model, batch), loss_of(model, whole))
        model.train()
        return step(batch)

    monkeypatch.setattr(trainer.stepper, "_step", watched)
    trainer.run()
    assert len(found) == 16
    assert {read for read, _ in found} == {16, 32, 40}
    assert all(read == bucket_steps(longest, 16, 40) for read, longest in found)


def test_buckets_need_lengths() -> None:
    task = token_order(length=10, samples=64)
    model = Network(ModelConfig("binary-s4d", task.input, 2, 1, 4, 2))
    with pytest.raises(InputError, match="bucket: the data have no lengths"):
        Trainer(model, task, TrainConfig(1, batch_size=8, bucket=16))
