"""The shipped model on real digits: integers against the definition, floats against PyTorch."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from neurossm import lava
from neurossm.compile import compile_model
from neurossm.models import load
from neurossm.models.export import export
from neurossm.program import Add, Affine, Spike, reference

FOLDER = Path(__file__).parents[2] / "examples" / "smnist"
DIGITS = 20
FLOAT_DIGITS = 3


@pytest.fixture(scope="module")
def digits():
    with np.load(FOLDER / "mnist_test.npz") as data:
        return data["x"][:DIGITS], data["y"][:DIGITS]


@pytest.mark.slow
def test_every_spike_residual_and_logit_of_20_digits_in_one_stream(digits):
    x, labels = digits
    program = compile_model(FOLDER / "binary_s4d.pt")
    # spikes, the residual stream, and what enters every SSM
    kinds = {op.name: type(op).__name__ for op in program.ops if isinstance(op, (Spike, Add))}
    kinds |= {"encoder": "Affine"}
    kinds |= {f"blocks.{i}.norm": "Affine" for i in range(4)}
    assert all(isinstance(program[n], Affine) for n, kind in kinds.items() if kind == "Affine")
    got = lava.run(program, x, record=kinds)
    expected = reference.run(program, x, record=kinds)
    compared = Counter()
    for name, kind in kinds.items():
        assert np.array_equal(got.tensors[name], expected.tensors[name]), name
        compared[kind] += got.tensors[name].size
    assert np.array_equal(got.logits, expected.logits)
    compared["Readout"] += got.logits.size
    assert got.saturations == expected.saturations == {}
    rates = [float(got.tensors[f"blocks.{i}.spike"].mean()) for i in range(4)]
    print(  # noqa: T201 - shown by `pytest -s`, and what the test is for
        f"\n{DIGITS} digits: {sum(compared.values()):,} integers equal, {dict(compared)}; "
        f"firing rates {np.round(rates, 3)}"
    )
    # 4 spikes, 4 sums, 5 affine maps of 128 channels, 784 steps; 10 logits
    assert compared["Spike"] == compared["Add"] == 4 * 128 * 784 * DIGITS
    assert sum(compared.values()) == (13 * 128 * 784 + 10) * DIGITS >= 10_000_000
    assert (got.logits.argmax(axis=1) == labels).mean() >= 0.95


@pytest.mark.slow
def test_floating_lava_equals_pytorch_in_float64(digits):
    x = digits[0][:FLOAT_DIGITS]
    checkpoint = load(FOLDER / "binary_s4d.pt")
    model = checkpoint.model.double().eval()
    spikes, residuals = [], []
    for block in model.blocks:
        block.mixer.ssm.register_forward_hook(lambda module, given, y: spikes.append(y > 0))
        block.register_forward_hook(lambda module, given, y: residuals.append(y))
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    graph = export(checkpoint)
    names = [f"blocks.{i}.{part}" for i in range(4) for part in ("spike", "add")]
    got = lava.run_graph(graph, x, record=names)
    for i in range(4):  # PyTorch's are (B, H, L)
        spiked = spikes[i].numpy().transpose(0, 2, 1)
        assert np.array_equal(got[f"blocks.{i}.spike"], spiked), f"spikes of layer {i}"
        stream = residuals[i].numpy().transpose(0, 2, 1)
        np.testing.assert_allclose(got[f"blocks.{i}.add"], stream, rtol=0, atol=1e-9)
    np.testing.assert_allclose(got[graph.output.name], expected, rtol=0, atol=1e-9)
