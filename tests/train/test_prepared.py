"""The samples of a task in one file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.errors import FormatError, InputError
from neurossm.models import InputSpec
from neurossm.train import TrainSource, make_task
from neurossm.train.arrays import array_task
from neurossm.train.prepared import Packing, write_task
from neurossm.train.tasks import Samples, Task, TaskRequest, named_task

ORDER = torch.tensor([2, 0, 3, 1])


def small() -> Task:
    """Five images of 2 x 2 pixels, of which two are held out and one is to test on."""
    x = torch.arange(20, dtype=torch.uint8).view(5, 4, 1)
    samples = Samples(x, torch.tensor([0, 1, 2, 0, 1]), torch.tensor([4, 3, 4, 2, 1]))
    parts = [samples.take(part) for part in (slice(2), slice(2, 4), slice(4, 5))]
    return Task("some", InputSpec.uint8(1), 4, *parts, image_side=2, order=ORDER)


@pytest.mark.parametrize("packing", ["none", "zlib", "bzip2"])
def test_a_task_comes_back(tmp_path: Path, packing: Packing) -> None:
    task = small()
    write_task(tmp_path / "a.npz", task, packing=packing)
    found = array_task(tmp_path / "a.npz", None, None)
    assert (found.name, found.input, found.classes) == ("some", task.input, 4)
    assert found.image_side == 2
    assert torch.equal(found.order, ORDER)  # type: ignore[arg-type]
    for part, wanted in (("train", [0, 1]), ("held_out", [2, 0]), ("test", [1])):
        samples: Samples = getattr(found, part)
        assert samples.y.tolist() == wanted
        assert torch.equal(samples.lengths, getattr(task, part).lengths)
    assert found.train.x[1].flatten().tolist() == [4, 5, 6, 0]  # the rest: x[0, 0]
    with np.load(tmp_path / "a.npz") as arrays:  # as any other reader takes it
        assert arrays["x"][:, :, 0].tolist() == np.arange(20).reshape(5, 4).tolist()


def test_tokens_keep_their_vocabulary_and_stay_narrow(tmp_path: Path) -> None:
    for size, kind in ((18, torch.uint8), (256, torch.uint8), (257, torch.int16)):
        x = torch.zeros(3, 4, dtype=torch.int64)
        nothing = Samples(x[:0], torch.zeros(0, dtype=torch.int64))
        task = Task("t", InputSpec.tokens(size), 2, Samples(x, x[:, 0]), nothing, nothing)
        write_task(tmp_path / "a.npz", task)
        found = array_task(tmp_path / "a.npz", None, None)
        assert found.input == InputSpec.tokens(size)
        assert found.train.x.dtype == kind


def test_one_part(tmp_path: Path) -> None:
    write_task(tmp_path / "a.npz", small(), "test")
    found = array_task(tmp_path / "a.npz", None, None)
    assert [len(part) for part in (found.train, found.held_out, found.test)] == [0, 0, 1]
    assert found.test.x.flatten()[0] == 16
    empty = replace(small(), held_out=small().train.take(slice(0)))
    with pytest.raises(InputError, match="task some: has no samples of the part held-out"):
        write_task(tmp_path / "b.npz", empty, "held-out")


def test_training_knows_the_task(tmp_path: Path) -> None:
    path = tmp_path / "order.npz"
    given = ["data", "token-order", "-o", str(path), "--limit", "6", "--json", "-"]
    outcome = CliRunner().invoke(cli, given)
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout)["samples"] == {"train": 6, "held-out": 6, "test": 6}
    whole = named_task("token-order", TaskRequest())
    found = make_task(TrainSource("token-order", str(path)))
    assert (found.name, found.input) == ("token-order", whole.input)
    assert torch.equal(found.test.x.long(), whole.test.x[:6])
    with pytest.raises(InputError, match="holds the task token-order, not smnist"):
        make_task(TrainSource("smnist", str(path)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": [1, 2, 3]}, r"task: parts \(1, 2, 3\) of 5 samples"),
        ({"parts": [6, 0, -1]}, r"parts \(6, 0, -1\) of 5 samples"),
        ({"parts": 5}, "task is no JSON with name, input, classes, parts, image_side"),
        ({"colour": 1}, "task is no JSON with"),
        ({"classes": 0}, "classes 0 is no number of classes"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = {"name": "a", "input": "uint8", "classes": 3, "parts": [5, 0, 0]}
    x, text = np.zeros((5, 4), np.uint8), json.dumps({**good, **changes})
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(5, int), task=np.array(text))
    with pytest.raises(FormatError, match=message):
        array_task(tmp_path / "a.npz", None, None)


def test_a_damaged_order(tmp_path: Path) -> None:
    x = np.zeros((5, 4), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(5, int), order=np.array([0, 1, 2, 2]))
    with pytest.raises(FormatError, match="order is no permutation of 4 steps"):
        array_task(tmp_path / "a.npz", None, None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TrainSource("sort"), "task 'sort' is unknown; known are smnist, psmnist"),
        (TrainSource("smnist"), "task smnist: --data must name the folder with the four MNIST"),
        (TrainSource("token-order", input="tokens"), "--input is for arrays"),
    ],
)
def test_what_is_refused(source: TrainSource, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_task(source)


@pytest.mark.parametrize(("limit", "seed"), [(0, 0), (1, -1)])
def test_requests_out_of_range(limit: int, seed: int) -> None:
    with pytest.raises(InputError):
        TaskRequest(None, limit, seed)
