"""Two processes that share each batch train as one does."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neurossm.errors import InputError
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.train.config import TrainConfig
from neurossm.train.loop import Trainer
from neurossm.train.processes import Processes
from neurossm.train.tasks.token_order import token_order

WORKER = """
import json, sys
import torch
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.train.config import TrainConfig
from neurossm.train.loop import Trainer
from neurossm.train.processes import join, leave
from neurossm.train.tasks.token_order import token_order

processes, device = join("cpu")
torch.manual_seed(0)  # float64: sums in another order differ by 1e-16, and flip no spike
config = ModelConfig("gsu", InputSpec.tokens(4), 2, 2, 8, 8, norm="layer")
network = Network(config).double()
task = token_order(length=10, vocabulary=4, samples=250)
trainer = Trainer(network, task, TrainConfig(2, 32, accumulate=2, ema=0.9, clip=1.0), processes)
trainer.run()
if processes.first:
    found = {name: value.tolist() for name, value in trainer.kept().items()}
    numbers = [(report.loss, report.held_out_accuracy) for report in trainer.reports]
    with open(sys.argv[1], "w") as file:
        json.dump({"size": processes.size, "reports": numbers, "weights": found}, file)
processes.wait()
leave()
"""


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients, accumulation, clipping, the static threshold's mean and accuracies are shared."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "one.json")])
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)  # as torchrun says it of one process, which joins no other
    runpy.run_path(str(script))
    monkeypatch.undo()
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *start, str(script), str(tmp_path / "two.json")]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = [json.loads((tmp_path / f"{count}.json").read_text()) for count in ("one", "two")]
    one, two = found
    assert (one["size"], two["size"]) == (1, 2)
    for (loss, accuracy), (other, shared) in zip(one["reports"], two["reports"], strict=True):
        assert other == pytest.approx(loss, rel=1e-9)
        assert accuracy == shared
    for name, value in one["weights"].items():
        torch.testing.assert_close(
            torch.tensor(two["weights"][name]), torch.tensor(value), rtol=1e-6, atol=1e-8
        )


def test_batch_norm_over_processes_on_cpus_is_refused() -> None:
    task = token_order(length=10, vocabulary=4, samples=250)
    network = Network(ModelConfig("gsu", InputSpec.tokens(4), 2, 1, 8, 4))
    with pytest.raises(InputError, match="2 processes on CPUs: PyTorch's SyncBatchNorm needs GPUs"):
        Trainer(network, task, TrainConfig(1, 32), Processes(0, 2))
    with pytest.raises(InputError, match="batch size 33 is no multiple of 2 processes"):
        Trainer(network, task, TrainConfig(1, 33), Processes(0, 2))
