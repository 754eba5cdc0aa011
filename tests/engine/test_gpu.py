"""The GPU engine gives the reference's integers: here on a CPU, and on a GPU where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from neurossm import compile_model
from neurossm import program as p
from neurossm import registry as engines
from neurossm.engine import cpu as fast
from neurossm.engine import gpu
from neurossm.engine.gpu import fused
from neurossm.errors import InputError, MissingDependencyError
from neurossm.program import Program, reference
from neurossm.trace import write_trace

ROOT = Path(__file__).parents[2]
SHIPPED = ("binary_s4d", "binary_s4d_small", "gsu", "gsu_small")
NEEDS_CUDA = pytest.mark.gpu
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]


def compared(
    program: Program,
    data: np.ndarray,
    names: tuple[str, ...],
    device: str,
    kernels: str,
    **how: int,
) -> Counter[str]:
    """Check that tensors, logits, sums and counts are the reference's; count the integers."""
    count = tuple(op.name for op in program.ops[:-1])
    expected = reference.run(program, data, names, count=count)
    found = gpu.run(program, data, names, count=count, device=device, kernels=kernels, **how)
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.totals, expected.totals)
    assert found.saturations == expected.saturations
    assert set(found.tensors) == set(names)
    same = Counter({"Readout": expected.logits.size})
    for name in names:
        assert found.tensors[name].dtype == np.int64
        np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], name)
        one = program.recordings[name]
        kind = type(one.op).__name__ + (" states" if one.state else "")
        same[kind] += expected.tensors[name].size
    for name in count:
        np.testing.assert_array_equal(found.nonzeros[name], expected.nonzeros[name], name)
    return same


def outputs(program: Program) -> tuple[str, ...]:
    """Return all tensors but states, with which fused kernels would not run."""
    return tuple(name for name, one in program.recordings.items() if one.state is None)


def random_case(networks: ModuleType, seed: int) -> tuple[Program, np.ndarray]:
    rng = np.random.default_rng(seed)
    kind = ("uint8", "tokens", "float")[seed % 3]
    program = networks.random_program(
        seed,
        channels=int(rng.integers(1, 20)),
        modes=int(rng.integers(1, 10)),
        saturating=(0.0, 0.5, 1.0)[seed // 3 % 3],
        kind=kind,
        inputs=3 if kind == "tokens" else int(rng.integers(1, 4)),
        norm=("pre", "post")[seed % 2],
        mixer=("binary", "gsu")[seed // 2 % 2],
    )
    return program, networks.random_data(program.input, seed, 5, 13)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(60))
def test_random_networks(networks: ModuleType, tally: Counter[str], seed: int, device: str) -> None:
    """With little memory, samples go in several batches and chunks; that changes nothing."""
    program, data = random_case(networks, 1000 + seed)
    memory = (5_000, 20_000, 1 << 26)[seed % 3]
    names = tuple(program.recordings)
    tally.update(compared(program, data, names, device, "plain", memory=memory))


@pytest.mark.triton
@pytest.mark.skipif(
    not fused.available(), reason="no Triton of 3.4 or newer, whose interpreter would run them"
)
def test_fused_kernels_interpreted(tally: Counter[str]) -> None:
    """Triton's interpreter runs the kernels on a CPU, if told so before they are imported."""
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("interpreted.py"))],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    tally["interpreted"] += int(result.stdout)
    assert tally["interpreted"] > 0


@pytest.mark.gpu
@pytest.mark.parametrize("seed", range(60))
def test_fused_kernels_on_a_gpu(networks: ModuleType, tally: Counter[str], seed: int) -> None:
    program, data = random_case(networks, 2000 + seed)
    names = outputs(program)
    tally.update(compared(program, data, names, "cuda", "fused"))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", sorted((ROOT / "tests/golden").glob("*.h5")), ids=lambda p: p.stem)
def test_golden_vectors(case: Path, tally: Counter[str], device: str) -> None:
    program = Program.load(case)
    with np.load(case.with_suffix(".npz")) as golden:
        wanted = {name.replace(".state", ":state"): golden[name] for name in golden.files}
    names = tuple(program.recordings)
    found = gpu.run(program, wanted["data"], names, device=device)
    np.testing.assert_array_equal(found.logits, wanted["logits"])
    for name in names:
        np.testing.assert_array_equal(found.tensors[name], wanted[f"tensors/{name}"], name)
        tally["golden"] += found.tensors[name].size
    for name, count in found.saturations.items():
        assert wanted[f"saturations/{name}"] == count


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models(tally: Counter[str], name: str, device: str) -> None:
    program = compile_model(ROOT / f"examples/smnist/{name}.pt")
    with np.load(ROOT / "examples/smnist/mnist_test.npz") as data:
        x = data["x"][:1, :64]
    names = outputs(program)
    tally.update(compared(program, x, names, device, "auto"))


@pytest.mark.gpu
@pytest.mark.parametrize("name", SHIPPED)
def test_whole_digits_on_a_gpu(tally: Counter[str], name: str) -> None:
    """Every tensor of 16 whole digits equals the CPU engine's."""
    program = compile_model(ROOT / f"examples/smnist/{name}.pt")
    with np.load(ROOT / "examples/smnist/mnist_test.npz") as data:
        x = data["x"][:16]
    names = outputs(program)
    expected = fast.run(program, x, names)
    found = gpu.run(program, x, names, device="cuda")
    np.testing.assert_array_equal(found.logits, expected.logits)
    for tensor in names:
        np.testing.assert_array_equal(found.tensors[tensor], expected.tensors[tensor], tensor)
        tally["shipped"] += expected.tensors[tensor].size


@pytest.mark.gpu
@pytest.mark.parametrize("channels", [5, 6, 8])
def test_layer_norms_on_a_gpu(networks: ModuleType, tally: Counter[str], channels: int) -> None:
    """Behind a table in one chain, and of a number of channels that is no power of two."""
    graph = networks.random_graph(1, channels=channels, mixer="gsu", layer_norm=True)
    data = networks.random_data(graph.input, 0, 3, 9)
    program = compile_model(graph, calibration=data)
    tally.update(compared(program, data, (), "cuda", "fused"))


@pytest.mark.parametrize("kind", [p.Product, p.Add])
def test_both_inputs_the_same(engine: SimpleNamespace, kind: type[p.Op]) -> None:
    spec = p.unchecked(20, 10, 3)  # a sum has the exponents of its inputs
    shift = {"shift": np.zeros(3, np.int64)} if kind is p.Product else {}
    program = engine.around([kind("o", ("x", "x"), spec, **shift)], bits=10, channels=3)
    compared(program, engine.extremes(program, 0, 2, 4), ("o",), "cpu", "plain")


@pytest.mark.parametrize("writeable", [True, False])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_reversed_and_read_only_data(networks: ModuleType, axis: int, writeable: bool) -> None:
    """An axis of length 1 counts as contiguous, whatever its stride."""
    program = networks.random_program(3, kind="uint8", inputs=1, channels=3)
    data = np.flip(networks.random_data(program.input, 0, 1, 1), axis)
    data.flags.writeable = writeable
    expected = reference.run(program, data)
    found = gpu.run(program, data, device="cpu")
    np.testing.assert_array_equal(found.logits, expected.logits)
    with pytest.raises(InputError, match=r"shape \(3, 0, 1\)|no steps"):
        gpu.run(program, np.zeros((3, 0, 1), np.uint8), device="cpu")


def test_traces_and_progress(networks: ModuleType, tmp_path: Path) -> None:
    program, data = random_case(networks, 3000)
    seen: list[tuple[str, int, int]] = []
    expected = fast.run(program, data)
    found = gpu.run(
        program, data, progress=lambda *told: seen.append(told), device="cpu", memory=5_000
    )
    assert seen == sorted(seen)
    assert seen[-1] == ("running", data.size, data.size)
    np.testing.assert_array_equal(found.logits, expected.logits)
    if not torch.cuda.is_available():
        with pytest.raises(MissingDependencyError, match="CUDA"):
            write_trace(tmp_path / "trace.h5", program, data, device="cuda")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_one_line_says_so(networks: ModuleType) -> None:
    program, data = random_case(networks, 3001)
    with pytest.raises(MissingDependencyError, match=r"device 'cuda': PyTorch .*--device cpu") as e:
        engines.run(program, data, device="cuda")
    assert "\n" not in str(e.value)


def test_refusals(networks: ModuleType) -> None:
    program, data = random_case(networks, 3002)
    with pytest.raises(InputError, match="device 'tpu' is unknown"):
        gpu.find_device("tpu")
    with pytest.raises(InputError, match="device 'cuda': the engine 'lava' runs on the CPU only"):
        engines.run(program, data, "lava", device="cuda")
    with pytest.raises(InputError, match="no tensor 'nothing'"):
        gpu.run(program, data, ["nothing"], device="cpu")
    with pytest.raises(InputError, match="no samples"):
        gpu.run(program, data[:0], device="cpu")
    if not fused.available():
        with pytest.raises(MissingDependencyError, match="Triton"):
            gpu.run(program, data, device="cpu", kernels="fused")
