"""A killed training goes on as if nothing had happened."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from neurossm.errors import FormatError, InputError
from neurossm.models import load
from neurossm.train import Outcome, TrainLimits, TrainSettings, settings_of, train
from neurossm.train import loop as loop_module
from neurossm.train.objective import accuracy
from neurossm.train.store import Store
from neurossm.train.tasks import Samples, Task
from neurossm.train.tasks.token_order import token_order
from neurossm.train.watch import CsvLog

SRC = Path(__file__).parents[2] / "src"


def tiny(**values: Any) -> TrainSettings:
    """Settings with all that has a state: average, dropout, running statistics, best epoch."""
    model = {"d_model": 8, "d_state": 4, "n_layers": 1, "dropout": 0.2}
    training = {"epochs": 4, "ema": 0.9, "keep": "best", "batch_size": 128, "accumulate": 2}
    given: dict[tuple[str, str], Any] = {("", "task"): "token-order"}
    given |= {("model", name): value for name, value in model.items()}
    given |= {("training", name): value for name, value in {**training, **values}.items()}
    return settings_of("gsu-small", given=given)


@pytest.fixture(autouse=True)
def short_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def task(*_: object) -> Task:
        return token_order(length=10, vocabulary=4, samples=512)

    monkeypatch.setattr("neurossm.train.tasks.registry.token_order", task)


def numbers(outcome: Outcome) -> list[tuple[float, float | None]]:
    return [(report.loss, report.held_out_accuracy) for report in outcome.reports]


def same(a: Outcome, b: Outcome) -> bool:
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return numbers(a) == numbers(b) and all(torch.equal(x, y) for x, y in pairs)


def test_resumed_between_and_within_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(tiny(), tmp_path / "whole.pt")
    assert whole.finished
    path = tmp_path / "model.pt"
    steps = 0
    step = loop_module.Trainer._step

    class KilledError(Exception):
        pass

    def dying(self: Any, chosen: Any, read: int) -> float:
        nonlocal steps
        steps += 1
        if steps in (2, 6, 9):  # 3 steps an epoch: within the first one, after the first, later
            raise KilledError
        return step(self, chosen, read)

    monkeypatch.setattr(loop_module.Trainer, "_step", dying)
    settings = tiny(save_minutes=1e-9)  # after every step
    deaths = 0
    while True:
        torch.manual_seed(deaths)  # nothing of the first process is left
        try:
            outcome = train(settings, path, resume=True)
            break
        except KilledError:
            deaths += 1
    assert deaths == 3
    assert same(outcome, whole)
    assert outcome.training["test_accuracy"] == whole.training["test_accuracy"]
    assert load(path).training["epoch"] == whole.training["epoch"]


@pytest.mark.slow
def test_resumed_after_sigkill(tmp_path: Path) -> None:
    """The process is killed while it trains; the log and the weights end as if it were not."""
    options = ["--preset", "gsu-small", "--task", "token-order", "--epochs", "3", "--device", "cpu"]
    options += ["--d-model", "8", "--d-state", "4", "--n-layers", "1", "--dropout", "0.1"]
    options += ["--ema", "0.9", "--resume"]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}

    def start(name: str) -> subprocess.Popen[bytes]:
        files = ["-o", str(tmp_path / f"{name}.pt"), "--log", str(tmp_path / f"{name}.csv")]
        command = [sys.executable, "-m", "neurossm.train", *options, *files]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)

    assert start("whole").wait() == 0
    killed = start("killed")
    while not (tmp_path / "killed.csv").exists():  # the first epoch is over
        assert killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert start("killed").wait() == 0
    rows = []
    for name in ("whole", "killed"):
        with open(tmp_path / f"{name}.csv", newline="") as file:
            rows.append([(row["loss"], row["held_out_accuracy"]) for row in csv.DictReader(file)])
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3
    whole, other = (load(tmp_path / f"{n}.pt").model.state_dict() for n in ("whole", "killed"))
    assert all(torch.equal(whole[name], other[name]) for name in whole)
    # a kill may leave a half-written file beside them, under a hidden name
    found = sorted(path.name for path in tmp_path.glob("killed*"))
    assert found == ["killed.csv", "killed.last.pt", "killed.pt"]


def test_a_time_limit_stops_between_epochs_and_is_resumed(tmp_path: Path) -> None:
    path, log = tmp_path / "model.pt", tmp_path / "log.csv"
    whole = train(tiny())
    for epochs in (1, 2, 3, 4):
        limits = TrainLimits(minutes=1e-9)  # one epoch is always done, or nothing would ever be
        cut = train(tiny(), path, resume=True, limits=limits, watches=[CsvLog(log)])
        assert len(cut.reports) == epochs
        assert cut.finished == ("test_accuracy" in cut.training) == (epochs == 4)
    assert same(cut, whole)
    assert len(log.read_text().splitlines()) == 1 + 4
    again = train(tiny(), path, resume=True)  # nothing is left to do
    assert same(again, whole)


def test_what_cannot_be_resumed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    begun = train(tiny(), path)
    assert begun.finished
    train(tiny(), path)  # a finished one is replaced
    with pytest.raises(InputError, match=r"other settings: lr 0\.01 \(now 0\.02\); give the same"):
        train(tiny(lr=0.02), path, resume=True)
    with pytest.raises(InputError, match="seed 0"):
        train(tiny(seed=1), path, resume=True)
    store = Store(path, tiny().tables(), Samples(torch.zeros(1), torch.zeros(1)))
    store.save_last(begun.model, {}, {}, finished=False)
    with pytest.raises(InputError, match="unfinished training; --resume goes on"):
        train(tiny(), path)
    store.last.write_bytes(path.read_bytes())
    with pytest.raises(FormatError, match="holds no training to go on from"):
        train(tiny(), path, resume=True)


def test_settings_that_came_later_have_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    train(tiny(), path, limits=TrainLimits(minutes=1e-9))
    last = path.with_name("model.last.pt")
    content = torch.load(last, weights_only=True)
    for table, name in (("training", "bucket"), ("model", "pool"), ("training", "clip")):
        del content["resume"]["settings"][table][name]  # as if written before there were these
    torch.save(content, last)
    with pytest.raises(InputError, match=r"other settings: clip 0\.0 \(now 1\.0\); give"):
        train(tiny(clip=1.0), path, resume=True)
    assert len(train(tiny(), path, resume=True).reports) == 4


def test_best_epoch_is_kept_and_patience_ends(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    settings = tiny(epochs=12, ema=0.0, patience=3, schedule="constant")
    outcome = train(settings, path)
    found = [report.held_out_accuracy or 0.0 for report in outcome.reports]
    best = max(found)
    last_best = max(index for index, value in enumerate(found) if value == best)
    assert outcome.training["epoch"] == last_best + 1
    assert outcome.training["held_out_accuracy"] == best
    first_best = found.index(best)
    assert len(found) == min(12, first_best + 1 + 3)
    # the network that came back is that epoch's: it has its accuracy again
    task = token_order(length=10, vocabulary=4, samples=512)
    assert accuracy(load(path).model, task.held_out) == best
    assert accuracy(outcome.model, task.held_out) == best
