"""The scripts of examples/lra on a task of a moment, as they run on a machine with a GPU."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from neurossm.models import InputSpec, load
from neurossm.train import write_task
from neurossm.train.tasks import Samples, Task

FOLDER = Path(__file__).parents[2] / "examples" / "lra"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"lra_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Bytes of 20 to 40 steps; the class is the first of them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 99, (96, 40), generator=generator, dtype=torch.uint8)
    samples = Samples(x, x[:, 0].long() % 2, torch.randint(20, 41, (96,), generator=generator))
    parts = [samples.take(part) for part in (slice(64), slice(64, 64), slice(64, 96))]
    write_task(tmp_path / "text.npz", Task("text", InputSpec.tokens(256), 2, *parts))
    return tmp_path / "text.npz"


def test_a_training_in_two_calls_then_its_integers(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    train_all, out = script("train_all"), tmp_path / "runs"
    monkeypatch.setattr(train_all, "PIECE", 100_000)
    call = ["train_all.py", "text-gsu", "--data", str(data), "--smoke", "--epochs", "2"]
    call += ["--out", str(out), "--copy", str(tmp_path / "copy"), "--device", "cpu"]
    call += ["--verify", "6", "--profile", "3"]
    monkeypatch.setattr(sys, "argv", [*call, "--call-minutes", "0"])
    assert train_all.main() == 1  # an epoch is done in any case
    assert not (out / "text-gsu.json").exists()
    for kept in out.iterdir():  # the machine is gone; what was copied comes back
        kept.unlink()
    for kept in (tmp_path / "copy").iterdir():
        kept.rename(out / kept.name)
    assert (out / "text-gsu.tar.piece1").exists()
    monkeypatch.setattr(sys, "argv", call)
    assert train_all.main() == 0
    found = json.loads((out / "text-gsu.json").read_text())
    assert len((out / "text-gsu.csv").read_text().splitlines()) == 3
    assert found["training"]["test_samples"] == found["whole"]["samples"] == 32
    assert found["training"]["test_accuracy"] == found["whole"]["float32"]["value"]
    assert found["verify"]["samples"] == 6
    assert len(found["verify"]["layers"]) == 2
    assert load(out / "text-gsu.pt").config.d_model == 8
    capsys.readouterr()

    table = script("table")
    monkeypatch.setattr(sys, "argv", ["table.py", str(out / "text-gsu.json")])
    table.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `text")]
    assert len(rows) == 4
    assert rows[0].startswith(
        f"| `text-gsu` | 32 | {100 * found['whole']['float32']['value']:.2f} %"
    )

    engines = script("engines")
    few = [str(out / "text-gsu.h5"), str(data), "--sequences", "3", "--reference-steps", "9"]
    assert engines.main([*few, "--engines", "reference"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("|")[1:3] for row in rows] == [[" fast, reference ", " 3 "]] * 2
    assert all(row.split("|")[5].strip() == "0" for row in rows)


def test_a_trial_plans_the_epochs(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    train_all = script("train_all")
    call = ["train_all.py", "text-gsu", "--data", str(data), "--smoke", "--no-judge"]
    call += ["--out", str(tmp_path), "--device", "cpu", "--minutes", "0.01", "--", "--lr", "0.02"]
    monkeypatch.setattr(sys, "argv", call)
    assert train_all.main() == 0
    epochs = json.loads((tmp_path / "text-gsu.plan.json").read_text())["epochs"]
    training = json.loads((tmp_path / "text-gsu.training.json").read_text())["settings"]["training"]
    assert epochs >= 2
    assert (training["epochs"], training["lr"]) == (epochs, 0.02)
