"""Imported networks compute the functions of the originals, by an independent transcription."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from neurossm.compile import compile_model
from neurossm.graph.evaluate import evaluate
from neurossm.importers import ImportOptions, import_checkpoint
from neurossm.models import load
from neurossm.models.export import export

NAMES = (
    "official binary-s4d",
    "official binary-s4d, postnorm",
    "official binary-s4d, tokens, no norm",
    "official gsu",
    "official gsu, postnorm, no activation",
    "official gsu, stand-alone kernel",
    "s4d.py in example.py",
    "s4 in example.py, prenorm",
    "s4 in train.py",
    "s4d.py in train.py",
)
FLOAT32 = 2e-4  # of scale: what single precision costs

Write = Callable[..., Path]


def test_every_kind_is_named(foreign: ModuleType) -> None:
    assert tuple(foreign.KINDS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_same_function_in_float64(
    name: str,
    foreign: ModuleType,
    write: Write,
    options: Callable[[Any], ImportOptions],
    tmp_path: Path,
) -> None:
    kind = foreign.KINDS[name]
    state = foreign.random_state(kind)
    import_checkpoint(write(state), options=options(kind)).save(tmp_path / "model.pt")
    checkpoint = load(tmp_path / "model.pt")
    x = foreign.random_input(kind)
    wanted = foreign.evaluate(kind, state, x)

    with torch.no_grad():
        logits = checkpoint.model.double()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, wanted.logits, rtol=0, atol=1e-9)

    spike = "ternary" if kind.layer == "gsu" else "spike"
    spikes = [f"blocks.{i}.{spike}" for i in range(kind.blocks)]
    sums = [f"blocks.{i}.add" for i in range(kind.blocks)]
    got = evaluate(export(checkpoint), x, [*spikes, *sums])
    for i, block in enumerate(wanted.blocks):
        assert 0.05 < np.abs(block.spikes).mean() < 0.95
        np.testing.assert_array_equal(got[spikes[i]], block.spikes)
        np.testing.assert_allclose(got[sums[i]], block.sum, rtol=0, atol=1e-9)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("name", [name for name in NAMES if "gsu" not in name])
def test_graded_in_float64(
    name: str,
    activation: str,
    foreign: ModuleType,
    write: Write,
    options: Callable[[Any], ImportOptions],
    tmp_path: Path,
) -> None:
    kind = replace(foreign.KINDS[name], activation=activation)
    state, x = foreign.random_state(kind), foreign.random_input(kind)
    given = replace(options(kind), activation=activation)
    imported = import_checkpoint(write(state), options=given)
    assert {s.name: s.value for s in imported.settings}["layer"] == "s4d"
    imported.save(tmp_path / "model.pt")
    checkpoint = load(tmp_path / "model.pt")
    assert (checkpoint.config.layer, checkpoint.config.activation) == ("s4d", activation)
    wanted = foreign.evaluate(kind, state, x).logits
    graph = export(checkpoint)
    got = evaluate(graph, x)["decoder"].reshape(wanted.shape)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())
    logits = compile_model(graph).run(x, engine="reference").logits
    assert (logits.argmax(1) == wanted.argmax(1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_float32_layer_by_layer_on_the_same_inputs(
    name: str, foreign: ModuleType, write: Write, options: Callable[[Any], ImportOptions]
) -> None:
    kind = foreign.KINDS[name]
    state = foreign.random_state(kind)
    model = import_checkpoint(write(state), options=options(kind)).model.float()
    inputs = foreign.evaluate(kind, state, foreign.random_input(kind, steps=400)).inputs
    for i, block in enumerate(model.blocks):
        x = torch.from_numpy(inputs[i]).float()  # (B, L, H)
        wanted = foreign.block(kind, foreign.double(state), i, x.numpy().astype(np.float64))
        y, spikes, out = _float32(block, x, gsu=kind.layer == "gsu")
        scale = np.abs(wanted.y).max()
        np.testing.assert_allclose(y, wanted.y, rtol=0, atol=FLOAT32 * scale)
        flipped = spikes != wanted.spikes
        assert flipped.sum() <= 3  # of 7,200
        limit = 0.15 * np.abs(y).max(-1, keepdims=True) if kind.layer == "gsu" else 0.0
        assert (np.abs(np.abs(y) - limit)[flipped] < FLOAT32 * scale).all()
        same = ~flipped.any(axis=-1)  # steps at which all spikes agree
        tolerance = FLOAT32 * np.abs(wanted.out).max()
        np.testing.assert_allclose(out[same], wanted.out[same], rtol=0, atol=tolerance)


def _float32(block: Any, x: torch.Tensor, *, gsu: bool) -> tuple[Any, Any, Any]:
    """Return the SSM's output, the spikes and the output of a block, (B, L, H)."""
    x = x.transpose(1, 2)  # (B, H, L)
    with torch.no_grad():
        y = block.mixer.ssm(block.norm(x) if block.prenorm else x).transpose(1, 2).numpy()
        out = block(x).transpose(1, 2).numpy()
    limit = np.float32(0.15) * np.abs(y).max(-1, keepdims=True) if gsu else 0.0
    spikes = (y > limit).astype(float) - (gsu * (y < -limit)).astype(float)
    return y, spikes, out


def test_parameters_are_the_files_digit_by_digit(foreign: ModuleType, write: Write) -> None:
    state = foreign.random_state(foreign.KINDS["official binary-s4d"])
    model = import_checkpoint(
        write(state), options=ImportOptions("uint8", activation="spike", residual="sum")
    ).model
    assert model.dtype == torch.float32
    ours = model.state_dict()
    kernel = "model.layers.1.layer.kernel.kernel."
    for mine, theirs in (("A_real_log", "inv_A_real"), ("A_imag", "A_imag"), ("log_dt", "log_dt")):
        torch.testing.assert_close(
            ours[f"blocks.1.mixer.ssm.{mine}"], state[kernel + theirs], rtol=0, atol=0
        )


@pytest.mark.parametrize("transform", ["none", "relu", "sigmoid", "softplus"])
def test_other_real_transforms(transform: str, foreign: ModuleType, write: Write) -> None:
    kind = foreign.KINDS["official binary-s4d"]
    state = foreign.random_state(kind)
    same = dict(state)
    positive = {
        "none": lambda x: x,
        "relu": lambda x: max(x, 0.0) + 1e-4,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softplus": lambda x: np.log(1 + np.exp(x)),
    }[transform]
    for i in range(kind.blocks):
        key = f"model.layers.{i}.layer.kernel.kernel.inv_A_real"
        state[key] = state[key].abs() + 0.1 if transform == "none" else state[key]
        real = np.vectorize(positive)(state[key].numpy().astype(np.float64))
        same[key] = torch.from_numpy(np.log(real))
    x = foreign.random_input(kind)
    wanted = foreign.evaluate(kind, same, x)
    imported = import_checkpoint(
        write(state),
        options=ImportOptions(
            "uint8", activation="spike", residual="sum", real_transform=transform
        ),
    )
    assert imported.model.dtype == torch.float64  # rounding the poles would change the function
    with torch.no_grad():
        logits = imported.model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, wanted.logits, rtol=0, atol=1e-9)


def test_a_dt_per_mode_is_moved_into_a_and_b(foreign: ModuleType, write: Write) -> None:
    kind = foreign.KINDS["s4 in example.py, prenorm"]
    state = foreign.random_state(kind)
    spread, same = dict(state), dict(state)
    factor = torch.linspace(0.5, 2.0, foreign.N)
    for i in range(kind.blocks):
        # dt' = dt / f with A' = A f and B' = B f is the same system.
        k = f"s4_layers.{i}.layer.kernel."
        spread[f"{k}inv_dt"] = state[f"{k}inv_dt"].double() - factor.double().log()
        same[f"{k}A_real"] = state[f"{k}A_real"].double() - factor.double().log()
        same[f"{k}A_imag"] = state[f"{k}A_imag"].double() / factor
        same[f"{k}B"] = state[f"{k}B"].double() / factor[:, None]
    x = foreign.random_input(kind)
    wanted = foreign.evaluate(kind, same, x)
    imported = import_checkpoint(
        write(spread),
        options=ImportOptions(
            "uint8", activation="spike", residual="sum", prenorm=True, norm="layer"
        ),
    )
    with torch.no_grad():
        logits = imported.model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, wanted.logits, rtol=0, atol=1e-9)


def test_an_encoder_without_bias_gets_a_zero_bias(foreign: ModuleType, write: Write) -> None:
    state = foreign.random_state(foreign.KINDS["official binary-s4d"])
    del state["encoder.0.bias"]
    model = import_checkpoint(
        write(state), options=ImportOptions("uint8", activation="spike", residual="sum")
    ).model
    assert float(model.encoder.bias.detach().abs().max()) == 0.0


@pytest.mark.parametrize("input_", ["uint8", "uint8:2", "float:-1:2.5"])
def test_input_kinds(input_: str, foreign: ModuleType, write: Write) -> None:
    state = foreign.random_state(foreign.KINDS["official binary-s4d"])
    spec = import_checkpoint(
        write(state), options=ImportOptions(input_, activation="spike", residual="sum")
    ).model.config.input
    assert (spec.kind, spec.size) == (input_.split(":")[0], 2)
    assert (spec.low, spec.high) == ((-1.0, 2.5) if spec.kind == "float" else (0.0, 255.0))


def test_calibration_and_provenance_travel_along(
    foreign: ModuleType, write: Write, tmp_path: Path
) -> None:
    kind = foreign.KINDS["official binary-s4d"]
    x = foreign.random_input(kind)
    source = write(foreign.random_state(kind))
    imported = import_checkpoint(
        source, options=ImportOptions("uint8", activation="spike", residual="sum"), calibration=x
    )
    imported.save(tmp_path / "model.pt")
    checkpoint = load(tmp_path / "model.pt")
    np.testing.assert_array_equal(checkpoint.calibration, x)
    record = checkpoint.training["imported"]
    assert record["imported_from"] == source.name
    assert record["source_sha256"] == imported.sha256
    assert record["settings"]["discretization"] == {
        "value": "bilinear",
        "origin": "assumed",
    }
