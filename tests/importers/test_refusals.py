"""What cannot be imported is refused in one line that names the key; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import Result

Write = Callable[..., Path]
State = dict[str, torch.Tensor]
Changed = Callable[..., State]
Refused = Callable[..., str]

LAYER0, LAYER1 = "model.layers.0.layer.", "model.layers.1.layer."
KERNEL0, KERNEL1 = f"{LAYER0}kernel.kernel.", f"{LAYER1}kernel.kernel."


@pytest.mark.parametrize(
    "key",
    [
        "encoder.0.weight",
        f"{LAYER1}D",
        f"{KERNEL1}log_dt",
        f"{KERNEL1}B",
        f"{KERNEL0}C",
        f"{KERNEL0}A_imag",
        f"{KERNEL1}inv_A_real",
        f"{LAYER0}output_linear.0.weight",
        f"{LAYER1}output_linear.0.bias",
        "model.layers.1.norm.norm.bias",
        "model.norm.norm.running_var",
        "decoder.0.output_transform.weight",
        "decoder.0.output_transform.bias",
    ],
)
def test_missing_keys(key: str, changed: Changed, write: Write, refused: Refused) -> None:
    message = refused(write(changed({key: None})), "--input", "uint8")
    assert f"{key}: missing" in message


@pytest.mark.parametrize(
    "key",
    [
        f"{LAYER0}input_gate.weight",
        f"{LAYER1}output_linear.0.weight_g",
        "model.layers.0.residual.affine",
        "encoder.1.pe",
        "other",
    ],
)
def test_extra_keys(key: str, changed: Changed, write: Write, refused: Refused) -> None:
    message = refused(write(changed({key: torch.zeros(6)})), "--input", "uint8")
    assert f"{key}: extra key" in message


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (f"{LAYER1}D", (1, 7)),
        (f"{KERNEL1}log_dt", (7,)),
        (f"{KERNEL1}B", (6, 4, 2)),
        (f"{KERNEL1}C", (1, 6, 5, 2)),
        (f"{KERNEL1}A_imag", (3, 5)),
        (f"{KERNEL0}A_imag", (4, 4)),
        (f"{KERNEL0}inv_A_real", (4, 3)),
        (f"{KERNEL1}C", (6, 4, 2)),
        (f"{KERNEL1}C", (3, 6, 4, 2)),
        (f"{LAYER0}D", (6,)),
        (f"{LAYER1}output_linear.0.weight", (6, 6)),
        (f"{LAYER1}output_linear.0.bias", (6,)),
        ("model.layers.1.norm.norm.weight", (5,)),
        ("encoder.0.weight", (7, 2)),
        ("encoder.0.weight", (2,)),
        ("encoder.0.bias", (7,)),
        ("decoder.0.output_transform.weight", (3, 7)),
        ("decoder.0.output_transform.weight", ()),
        ("decoder.0.output_transform.bias", (4,)),
    ],
    ids=str,
)
def test_contradictory_shapes(
    key: str, shape: tuple[int, ...], changed: Changed, write: Write, refused: Refused
) -> None:
    message = refused(write(changed({key: torch.zeros(shape)})), "--input", "uint8")
    assert f"{key}: " in message
    assert "asks for" in message or "expected" in message or " but " in message


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [
        (torch.float16, "too coarse"),
        (torch.bfloat16, "too coarse"),
        (torch.int64, "expected float32 or float64"),
        (torch.complex64, "expected float32 or float64"),
    ],
)
def test_types_of_numbers(
    dtype: torch.dtype, reason: str, changed: Changed, write: Write, refused: Refused
) -> None:
    state = changed({})
    key = f"{KERNEL1}log_dt"
    state[key] = state[key].to(dtype)
    message = refused(write(state), "--input", "uint8")
    assert f"{key}: {dtype}" in message
    assert reason in message


def test_not_finite(changed: Changed, write: Write, refused: Refused) -> None:
    state = changed({})
    state["decoder.0.output_transform.bias"][1] = float("nan")
    message = refused(write(state), "--input", "uint8")
    assert "decoder.0.output_transform.bias: holds 1 values that are NaN" in message


def test_bidirectional_kernel(changed: Changed, write: Write, refused: Refused) -> None:
    state = changed(
        {f"{LAYER}kernel.kernel.C": torch.zeros(2, 6, 4, 2) for LAYER in (LAYER0, LAYER1)}
    )
    message = refused(write(state), "--input", "uint8")
    assert f"{KERNEL0}C" in message
    assert "bidirectional" in message
    assert "cannot stream" in message


def test_bidirectional_backbone(changed: Changed, write: Write, refused: Refused) -> None:
    state = changed({"model.layers.0.reverse_layer.D": torch.zeros(1, 6)})
    assert "bidirectional" in refused(write(state))


def test_nplr_kernel(changed: Changed, write: Write, refused: Refused) -> None:
    message = refused(write(changed({f"{KERNEL1}P": torch.zeros(1, 6, 4, 2)})))
    assert f"{KERNEL1}P" in message
    assert "nplr" in message
    assert "diag" in message


def test_several_channels(changed: Changed, write: Write, refused: Refused) -> None:
    state = changed({f"{LAYER0}D": torch.zeros(2, 6), f"{KERNEL0}C": torch.zeros(2, 6, 4, 2)})
    assert f"{KERNEL0}C: channels: 2" in refused(write(state))


def test_mixed_layer_kinds(
    changed: Changed, write: Write, refused: Refused, foreign: ModuleType
) -> None:
    other = foreign.random_state(foreign.KINDS["official gsu"])
    state = {name: value for name, value in changed({}).items() if not name.startswith(LAYER1)}
    state |= {name: value for name, value in other.items() if name.startswith(LAYER1)}
    message = refused(write(state), "--input", "uint8")
    assert "model.layers.1.layer: a gsu" in message
    assert "binary-s4d" in message


def test_a_block_left_out(changed: Changed, write: Write, refused: Refused) -> None:
    state = {name.replace("layers.1.", "layers.2."): value for name, value in changed({}).items()}
    assert "model.layers.1: missing" in refused(write(state))


def test_mixed_norms(changed: Changed, write: Write, refused: Refused) -> None:
    norm = "model.layers.1.norm.norm."
    state = changed({f"{norm}running_mean": None, f"{norm}running_var": None})
    message = refused(write(state), "--input", "uint8")
    assert "model.layers.1.norm.norm" in message


def test_scalar_layer_norm(changed: Changed, write: Write, refused: Refused) -> None:
    state = changed({"model.layers.0.norm.norm.m": torch.zeros(1)})
    assert "model.layers.0.norm.norm.m" in refused(write(state))


def test_pairs_of_texts(changed: Changed, write: Write, refused: Refused) -> None:
    decoder = "decoder.0.output_transform."
    state = changed(
        {
            f"{decoder}weight": None,
            f"{decoder}bias": None,
            "decoder.0.retrieval.classifier.0.weight": torch.zeros(6, 24),
        }
    )
    assert "decoder.0.retrieval" in refused(write(state))


def test_another_project(write: Write, refused: Refused) -> None:
    assert "model.layers.0." in refused(write({"fc.weight": torch.zeros(2, 2)}))


def test_poles_outside_the_unit_circle(changed: Changed, write: Write, refused: Refused) -> None:
    key = f"{KERNEL0}inv_A_real"
    state = changed({key: torch.full((3, 4), -0.5)})
    message = refused(write(state), "--input", "uint8", "--real-transform", "none")
    assert key in message
    assert "unit circle" in message


def test_kind_of_input_is_asked_for(changed: Changed, write: Write, refused: Refused) -> None:
    message = refused(write(changed({})))
    assert "--input uint8" in message
    assert "--input float:LOW:HIGH" in message


@pytest.mark.parametrize(
    "input_",
    ["uint8:3", "tokens", "float", "float:1", "float:1:0", "float:a:b", "float:0:inf", "int", ""],
)
def test_inputs_that_make_no_sense(
    input_: str, changed: Changed, write: Write, refused: Refused
) -> None:
    refused(write(changed({})), "--input", input_)


@pytest.mark.parametrize("input_", ["uint8", "float:0:1", "tokens:8"])
def test_an_embedding_takes_tokens(
    input_: str, changed: Changed, write: Write, refused: Refused
) -> None:
    state = changed({}, "official binary-s4d, tokens, no norm")
    assert "--input" in refused(write(state), "--input", input_)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("official binary-s4d", ("--discretization", "dss")),
        ("official binary-s4d", ("--real-transform", "tanh")),
        ("official binary-s4d", ("--postnorm",)),
        ("official binary-s4d", ("--norm", "layer")),
        ("official binary-s4d", ("--norm", "cube")),
        ("official binary-s4d", ("--norm-eps", "-1")),
        ("official binary-s4d", ("--residual", "half")),
        ("official binary-s4d", ("--std", "0")),
        ("official binary-s4d", ("--mean", "1,2,3")),
        ("s4d.py in example.py", ("--norm", "batch")),
        ("official binary-s4d", ("--dt-transform", "softplus")),
        ("s4d.py in example.py", ("--dt-transform", "none")),
        ("official gsu", ("--activation", "relu")),
        ("official gsu, stand-alone kernel", ("--activation", "gelu")),
        ("s4d.py in example.py", ("--discretization", "bilinear")),
    ],
)
def test_options_that_do_not_fit(
    kind: str, arguments: tuple[str, ...], changed: Changed, write: Write, refused: Refused
) -> None:
    assert arguments[0] in refused(write(changed({}, kind)), "--input", "uint8", *arguments)


def test_calibration_that_does_not_suit(
    changed: Changed, write: Write, refused: Refused, tmp_path: Path
) -> None:
    import numpy as np

    data = tmp_path / "data.npz"
    np.savez(data, x=np.zeros((2, 5, 3), np.uint8))
    message = refused(
        write(changed({})),
        *("--input", "uint8", "--activation", "spike", "--residual", "sum"),
        *("--calibration", str(data)),
    )
    assert "--calibration" in message
    assert "(2, 5, 3)" in message


def test_a_folder_that_does_not_exist_is_found_first(
    changed: Changed, write: Write, run_import: Callable[..., Result]
) -> None:
    result = run_import(write(changed({})), "-o", "/nowhere/model.pt", "--input", "uint8")
    assert result.exit_code == 1
    assert "/nowhere" in result.stderr


def test_what_is_assumed_is_printed(
    changed: Changed, write: Write, run_import: Callable[..., Result]
) -> None:
    given = ("--input", "uint8", "--activation", "spike", "--residual", "sum")
    result = run_import(write(changed({})), *given)
    assert result.exit_code == 0
    for line in (
        "assumed: discretization = bilinear",
        "assumed: real_transform = exp",
        "assumed: norm_eps = 1e-05",
        "assumed: readout = mean over time",
    ):
        assert line in result.stdout
    assert "assumed: activation" not in result.stdout


@pytest.mark.parametrize("kind", ["official binary-s4d", "s4d.py in example.py", "s4 in train.py"])
def test_the_activation_is_asked_for(
    kind: str, changed: Changed, write: Write, refused: Refused
) -> None:
    message = refused(
        write(changed({}, kind)),
        "--input",
        "uint8",
        "--postnorm" if "py in ex" in kind else "--residual=sum",
    )
    assert "--activation spike, gelu or relu" in message
    assert "GELU" in message  # what suggests which


def test_everything_that_is_open_is_asked_for_in_one_line(
    changed: Changed, write: Write, refused: Refused
) -> None:
    state = {k: v for k, v in changed({}, "s4d.py in example.py").items() if "norms." not in k}
    message = refused(write(state))
    for option in ("--activation spike", "--norm none or layer", "--prenorm or --postnorm"):
        assert option in message
    assert "--residual sum or none" in message
    # LayerNorm, GroupNorm(1, d) and InstanceNorm write the same names.
    assert "--norm layer, group or instance" in refused(write(changed({}, "s4d.py in example.py")))
    for part in ("--input uint8", "--mean", "--std", "float:LOW:HIGH", "float:L1,L2:H1,H2"):
        assert part in message


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_norms_over_time_are_refused(
    norm: str, changed: Changed, write: Write, refused: Refused
) -> None:
    arguments = ("--input", "uint8", "--activation", "spike", "--prenorm", "--norm", norm)
    message = refused(write(changed({}, "s4d.py in example.py")), *arguments)
    assert f"norm {norm}" in message
    assert "cannot stream" in message


@pytest.mark.parametrize(("option", "value"), [("--residual", "none"), ("--norm-eps", "1e-3")])
def test_other_blocks_are_refused(
    option: str, value: str, changed: Changed, write: Write, refused: Refused
) -> None:
    arguments = ("--input", "uint8", "--activation", "spike", "--prenorm", option, value)
    message = refused(write(changed({}, "s4d.py in example.py")), *arguments)
    assert option[2:].replace("-", "_") in message
    assert "support" in message


def test_a_configuration_that_is_missing(changed: Changed, write: Write, refused: Refused) -> None:
    message = refused(write(changed({})), "--input", "uint8", "--config", "absent.yaml")
    assert message.startswith("neurossm: absent.yaml: no such file")
