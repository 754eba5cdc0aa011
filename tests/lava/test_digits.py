"""The shipped models on real digits: integers against the definition, floats against PyTorch."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from neurossm import lava
from neurossm.compile import compile_model
from neurossm.engine import cpu as fast
from neurossm.graph.evaluate import evaluate
from neurossm.models import load
from neurossm.models.export import export
from neurossm.program import Add, Affine, Spike, Ternary, reference

FOLDER = Path(__file__).parents[2] / "examples" / "smnist"
DIGITS = 20
FLOAT_DIGITS = 3


@pytest.fixture(scope="module")
def digits():
    with np.load(FOLDER / "mnist_test.npz") as data:
        return data["x"][:DIGITS], data["y"][:DIGITS]


@pytest.mark.slow
def test_every_spike_residual_and_logit_of_20_digits_in_one_stream(digits, worker, say):
    x, labels = digits
    program = compile_model(FOLDER / "binary_s4d.pt")
    # spikes, the residual stream, and what enters every SSM
    kinds = {op.name: type(op).__name__ for op in program.ops if isinstance(op, (Spike, Add))}
    kinds |= {"encoder": "Affine"}
    kinds |= {f"blocks.{i}.norm": "Affine" for i in range(4)}
    assert all(isinstance(program[n], Affine) for n, kind in kinds.items() if kind == "Affine")
    got = lava.run(program, x, record=kinds, worker=worker)
    expected = reference.run(program, x, record=kinds)
    compared = Counter()
    for name, kind in kinds.items():
        assert np.array_equal(got.tensors[name], expected.tensors[name]), name
        compared[kind] += got.tensors[name].size
    assert np.array_equal(got.logits, expected.logits)
    compared["Readout"] += got.logits.size
    assert got.saturations == expected.saturations == {}
    rates = [float(got.tensors[f"blocks.{i}.spike"].mean()) for i in range(4)]
    say(
        f"Lava, {DIGITS} digits: {sum(compared.values()):,} integers equal, {dict(compared)}; "
        f"firing rates {np.round(rates, 3)}"
    )
    # 4 spikes, 4 sums, 5 affine maps of 128 channels, 784 steps; 10 logits
    assert compared["Spike"] == compared["Add"] == 4 * 128 * 784 * DIGITS
    assert sum(compared.values()) == (13 * 128 * 784 + 10) * DIGITS >= 10_000_000
    assert (got.logits.argmax(axis=1) == labels).mean() >= 0.95


@pytest.mark.slow
def test_floating_lava_equals_pytorch_in_float64(digits, worker):
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
    got = lava.run_graph(graph, x, record=names, worker=worker)
    for i in range(4):  # PyTorch's are (B, H, L)
        spiked = spikes[i].numpy().transpose(0, 2, 1)
        assert np.array_equal(got[f"blocks.{i}.spike"], spiked), f"spikes of layer {i}"
        stream = residuals[i].numpy().transpose(0, 2, 1)
        np.testing.assert_allclose(got[f"blocks.{i}.add"], stream, rtol=0, atol=1e-9)
    np.testing.assert_allclose(got[graph.output.name], expected, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "count"), [("gsu_small", 4), ("gsu", 2)])
def test_every_engine_gives_the_same_gsu_on_digits_in_one_stream(digits, model, count, worker, say):
    x, labels = digits[0][:count], digits[1][:count]
    program = compile_model(FOLDER / f"{model}.pt")
    names = [op.name for op in program.ops if isinstance(op, (Ternary, Add, Affine))]
    got = lava.run(program, x, record=names, worker=worker)
    expected = reference.run(program, x, record=names)
    other = fast.run(program, x, record=names)
    compared = Counter()
    for name in names:
        assert np.array_equal(got.tensors[name], expected.tensors[name]), name
        assert np.array_equal(got.tensors[name], other.tensors[name]), name
        compared[type(program[name]).__name__] += got.tensors[name].size
    assert np.array_equal(got.logits, expected.logits)
    assert np.array_equal(got.logits, other.logits)
    compared["Readout"] += got.logits.size
    assert got.saturations == expected.saturations == other.saturations == {}
    spikes = [got.tensors[name] for name in names if isinstance(program[name], Ternary)]
    rates = [np.round([float((s == value).mean()) for value in (-1, 1)], 3) for s in spikes]
    say(
        f"Lava, {model}, {count} digits: {sum(compared.values()):,} integers equal, "
        f"{dict(compared)}; rates of -1 and 1: {rates}"
    )
    channels = program["encoder"].out.channels
    assert compared["Ternary"] == compared["Add"] == len(spikes) * channels * 784 * count
    assert all(set(np.unique(s)) == {-1, 0, 1} for s in spikes)
    assert (got.logits.argmax(axis=1) == labels).all()


@pytest.mark.slow
def test_floating_lava_equals_the_float_graph_of_gsu(digits, worker):
    x = digits[0][:FLOAT_DIGITS]
    graph = export(FOLDER / "gsu_small.pt")
    names = [node.name for node in graph.nodes if node.name.endswith(("ternary", "add"))]
    expected = evaluate(graph, x, record=names)
    got = lava.run_graph(graph, x, record=names, worker=worker)
    for name in names:
        if name.endswith("ternary"):
            assert np.array_equal(got[name], expected[name]), name
            assert (got[name] == -1).mean() > 0.01
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=1e-9)
    np.testing.assert_allclose(got["decoder"], expected["decoder"], rtol=0, atol=1e-9)
