"""Networks of SpArch and SSM-inspired-LIF: equal to their formulas, compiled, and all the way."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.compile import CompileOptions, compile_model
from neurossm.errors import LimitError
from neurossm.graph.evaluate import evaluate
from neurossm.importers import Imported, ImportOptions, import_checkpoint
from neurossm.models.export import export

KINDS = ("silif", "csilif", "rf", "cadlif", "adlif", "lif")
LAYERS = ("layers.0.spike", "layers.1.spike")
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


def imported(path: Path, kind: str, **options: Any) -> Imported:
    neuron = kind if kind in ("cadlif", "adlif") else None
    return import_checkpoint(
        path, options=ImportOptions(input="counts:9", neuron=neuron, **options)
    )


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_network_that_its_formulas_say(
    networks: ModuleType, write: Write, kind: str, norm: bool
) -> None:
    state, x = networks.random_state(kind, norm=norm), networks.random_counts()
    model = imported(write({"model": {f"module.{k}": v for k, v in state.items()}}), kind).model
    expected = networks.evaluate(kind, state, x)
    for spikes in expected.spikes:
        assert 0.005 < spikes.mean() < 0.9
    steps = x.shape[1]
    with torch.no_grad():
        logits = model(torch.from_numpy(x))
        state_of = model.initial_state(len(x))
        for t in range(steps):
            so_far, state_of = model.step(torch.from_numpy(x[:, t]), state_of)
    found = evaluate(export(model), x, LAYERS)
    for result in (logits.numpy(), so_far.numpy(), found["decoder"]):
        assert np.abs(result * steps - expected.outputs).max() < 1e-9
    for name, spikes in zip(LAYERS, expected.spikes, strict=True):
        assert np.array_equal(found[name], spikes)


@pytest.mark.parametrize("kind", KINDS)
def test_its_integers_are_the_same_on_all_engines_and_keep_its_spikes(
    networks: ModuleType, write: Write, kind: str
) -> None:
    state, x = networks.random_state(kind), networks.random_counts(1, 4)
    model = imported(write(state), kind).model
    calibrated = kind in ("rf", "adlif")  # poles outside the unit circle, negative sensitivity
    options = CompileOptions(scaling="calibrated" if calibrated else "proved")
    program = compile_model(model, options=options, calibration=x if calibrated else None)
    names = tuple(program.recordings)
    ran = program.run(x, "reference", record=names)
    assert ran.saturations == {}
    found = evaluate(export(model), x, LAYERS)
    for name in LAYERS:
        assert (ran.tensors[name] == found[name]).mean() > 0.9
    fast = program.run(x, "fast", record=names)
    assert all(np.array_equal(fast.tensors[name], ran.tensors[name]) for name in names)
    assert np.array_equal(program.run(x, "fast").logits, ran.logits)  # the kernels of floats


def test_poles_outside_the_unit_circle_cannot_be_proved(networks: ModuleType, write: Write) -> None:
    made = imported(write(networks.random_state("rf")), "rf")
    assert any("have a pole outside the unit circle" in note for note in made.notes)
    with pytest.raises(LimitError, match=r"pole is outside the unit circle.*calibrated"):
        compile_model(made.model)


def test_what_its_code_draws_or_fixes_is_said(networks: ModuleType, write: Write) -> None:
    made = imported(write(networks.random_state("silif")), "silif")
    said = {setting.name: (setting.value, setting.origin) for setting in made.settings}
    assert said["neuron"] == ("SiLIF", "names")
    assert said["initial_state"] == ("zero", "assumed")
    assert said["threshold"] == ("1", "assumed")
    assert said["input"] == ("counts of 7 in [0, 9]", "option")
    assert said["layers"] == ("7-12-9-5", "names")


def test_what_names_cannot_tell_is_asked_for(
    networks: ModuleType, write: Write, refused: Refused
) -> None:
    path = write(networks.random_state("cadlif"))
    message = refused(path)
    assert "--neuron cadlif or adlif" in message
    assert "--input counts:HIGH" in message
    assert "--neuron lif, but the names are those of cadlif or adlif" in refused(
        path, "--neuron", "lif", "--input", "counts:9"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"snn.0.V.weight": torch.zeros(12, 12)}, "recurrent weights within a layer"),
        ({"snn.1.W.weight": torch.zeros(9, 24)}, "bidirectional network, which reads the future"),
        ({"snn.1.b": None}, "snn.1.b: missing"),
        ({"snn.1.extra": torch.zeros(2)}, "snn.1.extra: extra key"),
        ({"snn.0.norm.running_mean": None, "snn.0.norm.running_var": None}, "a LayerNorm before"),
        ({"snn.0.b": torch.full((12,), torch.nan)}, "12 values that are NaN"),
        ({"snn.0.beta": None}, "belong to no neuron that is known"),
    ],
)
def test_refusals(
    networks: ModuleType, write: Write, refused: Refused, changes: dict[str, Any], message: str
) -> None:
    state = {**networks.random_state("silif"), **changes}
    path = write({name: value for name, value in state.items() if value is not None})
    assert message in refused(path, "--input", "counts:9")


@pytest.mark.parametrize("text", ["counts", "counts:0", "counts:-2", "counts:x", "tokens"])
def test_bad_inputs(networks: ModuleType, write: Write, refused: Refused, text: str) -> None:
    assert "--input" in refused(write(networks.random_state("silif")), "--input", text)


def test_the_whole_path_on_the_command_line(
    networks: ModuleType, write: Write, tmp_path: Path
) -> None:
    def ok(*arguments: object) -> str:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    state, x = networks.random_state("csilif"), networks.random_counts(2, 6, 40)
    y = networks.evaluate("csilif", state, x).outputs.argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    model, program, data = tmp_path / "m.pt", tmp_path / "p.h5", tmp_path / "data.npz"
    ok("import", write(state), "-o", model, "--input", "counts:9")
    ok("compile", model, "--target", "loihi2-sim", "-o", program)
    assert "initial_state = zero" in ok("inspect", program)
    against = ("--engine", "reference", "--engine", "fast", "--min-agreement", 0.5)
    written = ("--json", tmp_path / "v.json")
    ok("verify", program, "--data", data, "--model", model, *against, *written)
    results = json.loads((tmp_path / "v.json").read_text())
    assert results["accuracy"]["float"] == 1.0  # the labels are what the formulas say
    assert results["engines"][0]["mismatches"] == 0
    assert "softmax" in ok("inspect", program)
    assert "counts" in ok("inspect", model)
    assert "layers.0" in ok("profile", program, "--data", data)
    ok("report", program, "--data", data, "--model", model, "-o", tmp_path / "r.html")
    assert "ResonateFire" in ok("inspect", program)


@pytest.mark.lava
@pytest.mark.parametrize("kind", ["silif", "rf"])
def test_lava_gives_the_same_integers(networks: ModuleType, write: Write, kind: str) -> None:
    x = networks.random_counts(3, 2, 20)
    model = imported(write(networks.random_state(kind)), kind).model
    options = CompileOptions(scaling="calibrated")
    program = compile_model(model, options=options, calibration=x)
    names = tuple(program.recordings)
    reference, lava = (program.run(x, engine, record=names) for engine in ("reference", "lava"))
    assert np.array_equal(lava.logits, reference.logits)
    assert all(np.array_equal(lava.tensors[name], reference.tensors[name]) for name in names)


ORIGINAL = os.environ.get("NEUROSSM_SPARCH_CODE", "")
"""A checkout of SSM-inspired-LIF, with its four trained checkpoints."""


@pytest.mark.skipif(not ORIGINAL, reason="NEUROSSM_SPARCH_CODE names no checkout")
@pytest.mark.parametrize(
    ("folder", "kind", "neuron"),
    [
        ("SiLIF", "SiLIF", None),
        ("CSiLIF", "CSiLIF", None),
        ("RF", "ResonateFire", None),
        ("CadLIF", "CadLIF", "cadlif"),
    ],
)
def test_the_trained_checkpoints_against_their_own_code(
    folder: str, kind: str, neuron: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ORIGINAL)
    monkeypatch.setitem(sys.modules, "einops", SimpleNamespace(rearrange=None, repeat=None))
    snns = importlib.import_module("models.snns")
    path = Path(ORIGINAL, "reference_models", f"ref_SSC_{folder}", "checkpoints", "best_model.pth")
    rng = np.random.default_rng(0)
    x = np.minimum(rng.poisson(rng.gamma(0.5, 0.3, (3, 1, 140)), (3, 300, 140)), 15)
    limits = {"dt_min": 0.01, "dt_max": 0.5}
    net = snns.SNN((3, 300, 140), [512, 512, 35], neuron_type=kind, extra_features=limits)
    net.load_state_dict(torch.load(path, weights_only=True))
    net.double().eval()
    seen: list[torch.Tensor] = []
    for layer in net.snn[:-1]:
        layer.recurrent = False  # which RF reads and nothing sets
        layer.spike_fct = lambda u: u.gt(0).double()  # theirs makes float32
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    monkeypatch.setattr(torch, "rand", lambda *shape, dtype=None: torch.zeros(*shape, dtype=dtype))
    with torch.no_grad():
        expected, _, _ = net(torch.from_numpy(x).double())
    model = import_checkpoint(path, options=ImportOptions(input="counts:15", neuron=neuron)).model
    found = evaluate(export(model), x, LAYERS)
    assert np.abs(found["decoder"] * 300 - expected.numpy()).max() < 1e-9
    for name, spikes in zip(LAYERS, seen, strict=True):
        assert np.array_equal(found[name], spikes.numpy())
        assert spikes.any()
