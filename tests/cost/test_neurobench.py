"""NeuroBench 2.3.0 counts the same synaptic operations, where it is installed (extra `neurobench`).

Its hooks see the inputs of `torch.nn.Linear` layers. A module that feeds each integer layer what it
received in a run lets them count the same spikes, pixels and sums that we count.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurossm.compile import compile_model
from neurossm.cost import profile
from neurossm.program import Dense, Program, Spike

torch = pytest.importorskip("torch")
pytest.importorskip("neurobench", reason="needs the extra 'neurobench'")

EXAMPLES = Path(__file__).parents[2] / "examples" / "smnist"


class Replay(torch.nn.Module):
    """The weighted sums of a program, given what they received in a run of the reference engine."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        self.sums = [op for op in program.ops if isinstance(op, Dense)]
        weights = [op.weight for op in self.sums] + [program.readout.weight]
        self.layers = torch.nn.ModuleList(_linear(weight) for weight in weights)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        """Compute (B, L, size) bytes to sums over time of logits (B, classes)."""
        last = self.program.readout.inputs[0]
        names = {op.inputs[0] for op in self.sums} | {last}
        tensors = self.program.run(data.numpy(), engine="reference", record=names).tensors
        received = [tensors[op.inputs[0]] for op in self.sums] + [tensors[last].sum(axis=1)]
        for layer, x in zip(self.layers, received, strict=True):
            # float64 adds up more than 2^24 operations exactly, float32 would not
            result = layer(torch.from_numpy(x).double())
        return result


def _linear(weight: np.ndarray) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.astype(np.float64)))
    return layer


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binary_s4d_small.pt"])
def test_neurobench_counts_the_same_on_real_digits(name: str) -> None:
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel

    program = compile_model(EXAMPLES / name)
    with np.load(EXAMPLES / "mnist_test.npz") as archive:
        x, y = archive["x"][:3], archive["y"][:3]
    model = TorchModel(Replay(program))
    model.register_hooks()
    batch = torch.from_numpy(x)
    predictions = model(batch)
    theirs = SynapticOperations()(model, predictions, (batch, torch.from_numpy(y)))
    model.cleanup_hooks()

    ours = profile(program, x, engine="reference").to_json()
    spikes = sum(isinstance(program[op.inputs[0]], Spike) for op in program.ops if op.inputs)
    assert spikes == 6  # value and gate of three blocks: what the comparison is about
    for key in ("Effective_ACs", "Effective_MACs", "Dense"):
        assert theirs[key] * len(x) == ours["totals"][key]
    assert ours["totals"]["Effective_ACs"] > 10**6
