from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neurossm.errors import InputError
from neurossm.models import load
from neurossm.train import TrainSource, make_device, make_task, settings_of
from neurossm.train.__main__ import main

SRC = Path(__file__).parents[2] / "src"
OPTIONS = ["--task", "token-order", "--model", "gsu", "--size", "small", "--epochs", "1"]


def test_module_trains_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.pt"
    assert main([*OPTIONS, "--max-steps", "2", "--seed", "4", "-o", str(path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = load(path)
    assert dict(found.training) == printed
    assert printed["seed"] == 4
    assert printed["settings"]["training"]["epochs"] == 1
    assert "test_accuracy" not in printed  # a trial leaves the test samples alone
    assert found.calibration is not None
    assert found.calibration.shape == (64, 64)


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--task", "smnist", "--model", "gsu", "-o", str(tmp_path / "model.pt")]
    assert main(options) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*options, "--data", str(tmp_path)]) == 1
    assert "no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_training_needs_torch_and_numpy_only() -> None:
    """Machines with GPUs often have nothing else: run the import without everything else."""
    code = (
        "import sys\n"
        "for name in ('click', 'rich', 'h5py', 'numba', 'scipy', 'matplotlib', 'lava'):\n"
        "    sys.modules[name] = None\n"
        "import neurossm.train.__main__\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_unknown_names() -> None:
    with pytest.raises(InputError, match="task 'imagenet' is unknown; known are smnist"):
        make_task(TrainSource("imagenet"))
    with pytest.raises(InputError, match="--data must name the folder"):
        make_task(TrainSource("smnist"))
    with pytest.raises(InputError, match="device 'abacus' cannot be used"):
        make_device("abacus")
    assert make_device("cpu") == torch.device("cpu")


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # within torch.compile
@pytest.mark.parametrize("model", ["binary-s4d", "gsu"])
@pytest.mark.parametrize("bucket", [0, 24])
def test_captured_steps_train_as_plain_ones_do(model: str, bucket: int) -> None:
    from neurossm.train.config import TrainConfig
    from neurossm.train.loop import fit
    from neurossm.train.start import start

    task = make_task(TrainSource("token-order"))
    if bucket:  # some samples end before their second marker; three lengths are captured
        lengths = torch.arange(len(task.train)) % 48 + 17
        train_on = dataclasses.replace(task.train, lengths=lengths)
        nothing = task.test.take(slice(0))
        task = dataclasses.replace(task, train=train_on, held_out=nothing, test=nothing)
    fields = settings_of(f"{model}-small", given={("", "task"): "token-order"}).model
    losses = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        network = start(fields, task.input, task.classes)[0].to(device)
        losses.append(fit(network, task, TrainConfig(4, batch_size=64, bucket=bucket))[-1].loss)
    assert losses[1] == pytest.approx(losses[0], abs=0.1)
