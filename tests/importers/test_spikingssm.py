"""SpikingSSM: equal to its formulas, its norms where they count, compiled, and what is refused."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurossm.compile import compile_model
from neurossm.graph.evaluate import evaluate
from neurossm.importers import ImportOptions, check_checkpoint, import_checkpoint
from neurossm.importers.archive import read_source
from neurossm.importers.config_file import Config
from neurossm.importers.importer import decide
from neurossm.models.export import export

LAYERS = ("blocks.0.lif", "blocks.1.lif")
Write = Callable[..., Path]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def networks() -> ModuleType:
    path = Path(__file__).parent / "spiking_networks.py"
    spec = importlib.util.spec_from_file_location("importers_spiking_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pixels(samples: int = 3, steps: int = 60, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (samples, steps, 2)).astype(np.uint8)


@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize(
    ("norm", "more"),
    [("layer", {}), ("batch", {"shared": True}), ("layer", {"neuron": True})],
)
def test_it_is_the_network_that_its_formulas_say(
    networks: ModuleType, write: Write, norm: str, more: dict[str, bool], prenorm: bool
) -> None:
    state, x = networks.spikingssm_state(1, norm, **more), pixels()
    path = write({"state_dict": state})
    options = ImportOptions(input="uint8", prenorm=prenorm)
    made = import_checkpoint(path, options=options)
    model = made.model.double()
    expected = networks.spikingssm(state, x, prenorm)
    with torch.no_grad():
        logits, state_of = model(torch.from_numpy(x)), model.initial_state(len(x))
        for t in range(x.shape[1]):
            stepped, state_of = model.step(torch.from_numpy(x[:, t]), state_of)
        reading, _ = decide(read_source(path), Config(), options)
        read = reading.logits(torch.from_numpy(x))
    found = evaluate(export(model), x, LAYERS)
    for result in (logits.numpy(), stepped.numpy(), found["decoder"]):
        assert np.abs(result - expected.outputs).max() < 1e-9
    assert np.abs(read.numpy() - expected.outputs).max() < 1e-4  # in float32
    for name, spikes in zip(LAYERS, expected.spikes, strict=True):
        assert np.array_equal(found[name], spikes)
        assert 0.02 < spikes.mean() < 0.9
    said = {setting.name: setting for setting in made.settings}
    assert said["neuron"].origin == ("assumed" if more.get("neuron") else "names")
    assert ("norm_outputs" in said) == (not prenorm)


def test_an_integrator_at_its_threshold_spikes() -> None:
    # 0.5, then 0.125 * 0.5 + 0.9375 = 1 exactly; then nothing is left
    from neurossm.models import ModelConfig
    from neurossm.models.config import InputSpec
    from neurossm.models.spiking_ssm import SpikingSSM

    layer = SpikingSSM(ModelConfig("spiking-ssm", InputSpec.uint8(), 2, d_model=1, d_state=2))
    y = torch.tensor([[[0.5, 0.9375, 0.99, 0.88]]])
    for kind in (torch.float32, torch.float64):
        assert layer.to(kind).activate(y.to(kind)).tolist() == [[[0.0, 1.0, 0.0, 1.0]]]


@pytest.mark.parametrize("prenorm", [True, False])
def test_its_integers_are_the_same_on_all_engines_and_keep_its_spikes(
    networks: ModuleType, write: Write, prenorm: bool
) -> None:
    state, x = networks.spikingssm_state(2, "batch"), pixels(4, 50, 1)
    options = ImportOptions(input="uint8", prenorm=prenorm)
    model = import_checkpoint(write({"state_dict": state}), options=options).model
    program = compile_model(model)
    names = tuple(program.recordings)
    ran = program.run(x, "reference", record=names)
    assert ran.saturations == {}
    found = evaluate(export(model), x, LAYERS)
    for name in LAYERS:
        assert (ran.tensors[name] == found[name]).mean() > 0.95
    fast = program.run(x, "fast", record=names)
    assert all(np.array_equal(fast.tensors[name], ran.tensors[name]) for name in names)
    assert np.array_equal(program.run(x, "fast").logits, ran.logits)


def test_the_place_of_its_norms_is_asked_for(
    networks: ModuleType, write: Write, refused: Refused
) -> None:
    path = write({"state_dict": networks.spikingssm_state()})
    assert "--prenorm or --postnorm" in refused(path, "--input", "uint8")
    message = refused(path, "--input", "uint8", "--postnorm", "--activation", "gelu")
    assert "--activation gelu: possible here: spike" in message


def test_check_tells_the_place_of_its_norms(
    networks: ModuleType, write: Write, tmp_path: Path
) -> None:
    state, x = networks.spikingssm_state(6), pixels(24, 30, 3)
    labels = networks.spikingssm(state, x, prenorm=True).outputs.argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=x, y=labels)
    path = write({"state_dict": state})
    options = ImportOptions(input="uint8")
    checked = check_checkpoint(path, tmp_path / "data.npz", options=options)
    first, second = checked.readings
    assert (first.options, first.accuracy) == ({"prenorm": True}, 1.0)
    assert second.options == {"prenorm": False}
    assert second.accuracy < 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel.C": torch.zeros(2, 6, 4, 2)}, "two kernels per channel, as in a bidirectional"),
        ({"kernel.inv_dt": torch.zeros(6, 1)}, "the kernel of trainable_B: true"),
        ({"ln_vth": torch.zeros(5, 1)}, "ln_vth: shape (5, 1)"),
    ],
)
def test_refusals(
    networks: ModuleType, write: Write, refused: Refused, changes: dict[str, Any], message: str
) -> None:
    state = networks.spikingssm_state()
    for name, value in changes.items():
        for i in range(2):
            state[f"model.s4_layers.{i}.{name}"] = value
    path = write({"state_dict": state})
    assert message in refused(path, "--input", "uint8", "--postnorm")


def test_a_configuration_that_reads_the_future_is_refused(
    networks: ModuleType, write: Write, refused: Refused, tmp_path: Path
) -> None:
    config = tmp_path / "sc.yaml"
    text = "model:\n  _name_: spikingssm\n  prenorm: true\n  layer:\n    bidirectional: {}\n"
    config.write_text(text.format("true"))
    path = write({"state_dict": networks.spikingssm_state()})
    assert "reads the future" in refused(path, "--input", "uint8", "--config", str(config))
    config.write_text(text.format("false"))
    made = import_checkpoint(path, config, ImportOptions(input="uint8"))
    assert made.model.config.prenorm


@pytest.mark.lava
def test_lava_gives_the_same_integers(networks: ModuleType, write: Write) -> None:
    state, x = networks.spikingssm_state(3), pixels(2, 15, 2)
    options = ImportOptions(input="uint8", prenorm=False)
    program = compile_model(import_checkpoint(write({"state_dict": state}), options=options).model)
    names = tuple(program.recordings)
    reference, lava = (program.run(x, engine, record=names) for engine in ("reference", "lava"))
    assert np.array_equal(lava.logits, reference.logits)
    assert all(np.array_equal(lava.tensors[name], reference.tensors[name]) for name in names)


ORIGINAL = os.environ.get("NEUROSSM_SPIKINGSSM_CODE", "")
"""A checkout of SDN."""


class _Nothing(nn.Identity):
    """Stands for a dropout."""

    def __init__(self, *_: object) -> None:
        super().__init__()


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return their module, without what it takes from the S4 repository and from einops."""
    package = {"src": "src", "src.models": "src/models"}
    made = {name: SimpleNamespace(__path__=[str(Path(ORIGINAL, p))]) for name, p in package.items()}
    made["src.models.nn"] = SimpleNamespace(DropoutNd=_Nothing)
    made["src.models.sequence.kernels.ssm"] = SimpleNamespace(SSMKernelDiag=None)
    made["einops"] = SimpleNamespace(
        rearrange=lambda y, _: y.flatten(1, 2), repeat=lambda t, _, h: t.expand(h, -1).clone()
    )
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(ORIGINAL)
    return importlib.import_module("models.spike.ss4d")


@pytest.mark.skipif(not ORIGINAL, reason="NEUROSSM_SPIKINGSSM_CODE names no checkout")
@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_against_its_own_code(
    networks: ModuleType, original: ModuleType, write: Write, norm: str, prenorm: bool
) -> None:
    state, x = networks.spikingssm_state(5, norm), pixels(steps=200)
    layer = {"d_state": 8, "lr": 0.001, "neuron": "bptt"}
    net = original.SpikingSSM(6, 2, 0.0, prenorm, norm, layer).double().eval()
    inner = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    net.load_state_dict(inner)
    seen: list[torch.Tensor] = []
    for block in net.s4_layers:
        block.neuron.register_forward_hook(lambda module, inputs, output: seen.append(output))
    double = {name: value.double() for name, value in state.items()}
    encoder, decoder = "encoder.0.", "decoder.0.output_transform."
    with torch.no_grad():
        z = torch.from_numpy(x).double() / 255 @ double[f"{encoder}weight"].T
        z, _ = net(z + double[f"{encoder}bias"])
        logits = z.mean(1) @ double[f"{decoder}weight"].T + double[f"{decoder}bias"]
    options = ImportOptions(input="uint8", prenorm=prenorm)
    model = import_checkpoint(write({"state_dict": state}), options=options).model
    found = evaluate(export(model), x, LAYERS)
    assert np.abs(found["decoder"] - logits.numpy()).max() < 1e-9
    for name, spikes in zip(LAYERS, seen, strict=True):
        assert np.array_equal(found[name], spikes.transpose(1, 2).numpy())
        assert spikes.any()
