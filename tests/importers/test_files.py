"""What training tools do to files is undone, and files that are no checkpoints are named."""

from __future__ import annotations

import gzip
import json
import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import Result
from torch.nn.utils import prune

from neurossm.errors import InputError
from neurossm.importers import ImportOptions, import_checkpoint

Write = Callable[..., Path]
State = dict[str, torch.Tensor]
Refused = Callable[..., str]

KIND = "s4d.py in example.py"
OPTIONS = ImportOptions(
    input="uint8", activation="spike", prenorm=False, norm="layer", residual="sum"
)
ARGUMENTS = (
    *("--input", "uint8", "--activation", "spike", "--postnorm", "--norm", "layer"),
    *("--residual", "sum"),
)
DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.complex64: "C64"}


@pytest.fixture
def state(foreign: ModuleType) -> State:
    made: State = foreign.random_state(foreign.KINDS[KIND])
    return made


@pytest.fixture
def same(foreign: ModuleType) -> Callable[[Path, State], None]:
    """Return a function that checks that a file computes what a plain state dict does."""

    def check(path: Path, state: State, **options: Any) -> None:
        kind = foreign.KINDS[KIND]
        x = foreign.random_input(kind)
        given = ImportOptions(**{**vars(OPTIONS), **options})
        with torch.no_grad():
            logits = import_checkpoint(path, options=given).model.double()(torch.from_numpy(x))
        wanted = foreign.evaluate(kind, state, x).logits
        np.testing.assert_allclose(logits.numpy(), wanted, rtol=0, atol=1e-9)

    return check


def _safetensors(path: Path, state: State, **changes: Any) -> Path:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, value in state.items():
        raw = value.contiguous().numpy().tobytes()
        ends = [len(data), len(data) + len(raw)]
        header[name] = {
            "dtype": DTYPES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": ends,
        }
        data += raw
    for name, change in changes.items():
        header[name.replace("__", ".")] |= change
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_safetensors(state: State, same: Any, tmp_path: Path) -> None:
    same(_safetensors(tmp_path / "model.safetensors", state), state)
    same(_safetensors(tmp_path / "any.name", {f"model.{k}": v for k, v in state.items()}), state)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": [3, 7]}, "takes 84 bytes"),
        ({"data_offsets": [0, 10**9]}, "bytes 0 to 1000000000"),
        ({"data_offsets": [72, 0]}, "bytes 72 to 0"),
        ({"shape": [-3, 6]}, "no lists of sizes"),
        ({"shape": [10**30]}, "takes"),
        ({"dtype": "F8_E4M3"}, "type F8_E4M3; known are F64"),
    ],
    ids=str,
)
def test_safetensors_that_point_elsewhere(
    change: dict[str, Any], reason: str, state: State, tmp_path: Path, refused: Refused
) -> None:
    path = _safetensors(tmp_path / "m.safetensors", state, decoder__weight=change)
    message = refused(path, *ARGUMENTS)
    assert "decoder.weight: " in message
    assert reason in message


@pytest.mark.parametrize("text", [b"{", b"{]", b"{" * 5000])
def test_safetensors_with_a_bad_header(text: bytes, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert "header" in refused(path)


@pytest.mark.parametrize("holder", ["net", "weights", "params", "model_state", "a.b.c"])
def test_any_holder(holder: str, state: State, write: Write, same: Any) -> None:
    content: Any = state
    for part in reversed(holder.split(".")):
        content = {part: content, "step": 7}
    same(write(content), state)


def test_a_pickled_module_beside_the_weights(state: State, write: Write, same: Any) -> None:
    optimiser = {"state": {0: {"exp_avg": torch.zeros(3)}}}
    same(
        write({"model": torch.nn.Linear(2, 2), "state_dict": state, "optimizer": optimiser}), state
    )


def test_what_a_lightning_module_adds(state: State, write: Write, same: Any) -> None:
    extras = {
        "criterion.weight": torch.ones(3),
        "train_acc.tp": torch.ones(3),
        "val_acc.tp": torch.ones(3),
    }
    path = write({"state_dict": {**{f"model.{k}": v for k, v in state.items()}, **extras}})
    same(path, state)
    notes = import_checkpoint(path, options=OPTIONS).notes
    assert "left out as no part of the network: criterion.weight, train_acc.tp, val_acc.tp" in notes


def test_an_averaged_model(state: State, write: Write, same: Any) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(1, 1)).state_dict()
    assert set(averaged) == {"n_averaged", "module.weight", "module.bias"}  # what PyTorch writes
    path = write({"n_averaged": torch.tensor(5), **{f"module.{k}": v for k, v in state.items()}})
    same(path, state)
    assert "an average over 5 states" in import_checkpoint(path, options=OPTIONS).notes[0]


@pytest.mark.parametrize("place", ["dicts", "prefixes", "inner prefix"])
def test_several_sets_are_asked_for(
    place: str, state: State, write: Write, same: Any, refused: Refused
) -> None:
    other = {k: v * 0.5 for k, v in state.items()}
    names = {
        "dicts": ("state_dict", "state_dict_ema"),
        "prefixes": ("net", "ema_net"),
        "inner prefix": ("weights", "ema"),
    }[place]
    if place == "dicts":
        content: dict[str, Any] = dict(zip(names, (state, other), strict=True))
    else:
        first = "" if place == "inner prefix" else "net."
        content = {f"{first}{k}": v for k, v in state.items()}
        content |= {f"{names[1]}.{k}": v for k, v in other.items()}
    path = write(content)
    message = refused(path, *ARGUMENTS)
    assert f"give --which {' or '.join(names)}" in message
    same(path, state, which=names[0])
    same(path, other, which=names[1])
    with pytest.raises(InputError, match="--which third"):
        import_checkpoint(path, options=ImportOptions(which="third"))


def test_compiled_inside(state: State, write: Write, same: Any) -> None:
    def compiled(name: str) -> str:
        return name.replace("s4_layers.0.", "s4_layers.0._orig_mod.")

    same(write({f"_orig_mod.{compiled(k)}": v for k, v in state.items()}), state)


def test_parameters_with_attributes_of_s4(state: State, write: Write, same: Any) -> None:
    parameters = {}
    for name, value in state.items():
        parameters[name] = torch.nn.Parameter(value)
        if "kernel" in name:
            parameters[name]._optim = {"lr": 0.001, "weight_decay": 0.0}  # type: ignore[attr-defined]
    path = write({"model": parameters})
    assert b"_rebuild_parameter_with_state" in path.read_bytes()
    same(path, state)
    assert not import_checkpoint(path, options=OPTIONS).notes


def test_a_counter_as_float(foreign: ModuleType, write: Write, refused: Refused) -> None:
    state = foreign.random_state(foreign.KINDS["official binary-s4d"])
    key = "model.norm.norm.num_batches_tracked"
    state[key] = torch.tensor(12.0)
    options = ImportOptions(input="uint8", activation="spike", residual="sum")
    assert (
        int(import_checkpoint(write(state), options=options).model.norm.num_batches_tracked) == 12
    )
    state[key] = torch.tensor(12.5)
    assert f"{key}: 12.5" in refused(write(state), "--input", "uint8", "--activation", "spike")


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize("way", ["weight_norm", "parametrizations", "pruned"])
def test_weights_that_are_products(way: str, state: State, write: Write, same: Any) -> None:
    key = "s4_layers.0.output_linear.0."
    layer = torch.nn.Conv1d(6, 12, 1).double()
    with torch.no_grad():
        layer.weight.copy_(state[f"{key}weight"])
    if way == "weight_norm":
        torch.nn.utils.weight_norm(layer)
    elif way == "parametrizations":
        torch.nn.utils.parametrizations.weight_norm(layer)
    else:
        prune.random_unstructured(layer, "weight", 0.5)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():  # no longer what it was made from
            if name != "bias":
                parameter.mul_(1.0 + torch.rand_like(parameter))
        layer(torch.zeros(1, 6, 1).double())  # the old weight norm computes `weight` here
        wanted = {**state, f"{key}weight": layer.weight.detach().clone()}
    stored = {k: v for k, v in state.items() if k != f"{key}weight"}
    parts = {k: v for k, v in layer.state_dict().items() if k != "bias"}
    assert "weight" not in parts
    stored |= {key + k: v for k, v in parts.items()}
    same(write(stored), wanted)


def test_complex_c_and_a_trailing_axis_of_d(state: State, write: Write, same: Any) -> None:
    stored = dict(state)
    for i in range(2):
        c, d = f"s4_layers.{i}.kernel.C", f"s4_layers.{i}.D"
        stored[c] = torch.view_as_complex(state[c])
        stored[d] = state[d][:, None]
        assert stored[c].dtype == torch.complex64
    same(write(stored), state)


def test_keys_are_shown_whole(state: State, write: Write, refused: Refused) -> None:
    stored = {f"net._orig_mod.{k}": v for k, v in state.items()}
    stored["net._orig_mod.s4_layers.1.kernel.log_dt"] = torch.zeros(7)
    message = refused(write(stored), *ARGUMENTS)
    assert "net._orig_mod.s4_layers.1.kernel.log_dt: shape (7,)" in message
    stored = {f"net.{k}": v for k, v in state.items()} | {"net.s4_layers.0.gain": torch.zeros(6)}
    assert "net.s4_layers.0.gain: extra key" in refused(write(stored), *ARGUMENTS)


def test_the_keys_seen_are_listed(write: Write, refused: Refused) -> None:
    state = {f"net.{i}.W.weight": torch.zeros(2, 2) for i in range(9)}
    message = refused(write({"model": state}))
    assert "its keys are model.net.0.W.weight, model.net.1.W.weight" in message
    assert "and 3 more" in message


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("kernel.log_dt", 800.0, "dt is exp(800)"),
        ("kernel.log_dt", -800.0, "dt is exp(-800)"),
        ("kernel.log_A_real", 800.0, "-Re A is exp(800)"),
        ("kernel.log_A_real", -800.0, "-Re A is exp(-800)"),
        ("kernel.log_A_real", -60.0, "not inside the unit circle"),  # 1 - dt e-26 is 1
    ],
)
def test_dt_and_real_parts_out_of_range(
    key: str, value: float, what: str, state: State, write: Write, refused: Refused
) -> None:
    name = f"s4_layers.1.{key}"
    state[name] = state[name].clone()
    state[name].view(-1)[2] = value
    message = refused(write({f"net.{k}": v for k, v in state.items()}), *ARGUMENTS)
    assert what in message
    assert "net.s4_layers.1.kernel." in message


def _hdf5(path: Path, *groups: str, **attributes: str) -> None:
    with h5py.File(path, "w") as file:
        for group in groups:
            file.create_group(group)
        file.attrs.update(attributes)


def _wav(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(200))


def _legacy(path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nir": (lambda path: _hdf5(path, "node", "edges"), "NIR graph"),
    "netx": (lambda path: _hdf5(path, "layer", "simulation"), "lava-dl"),
    "hdf5": (lambda path: _hdf5(path, "data"), "another kind"),
    "program": (lambda path: _hdf5(path, schema="neurossm-program"), "`neurossm run`"),
    "graph": (lambda path: _hdf5(path, schema="neurossm-graph"), "`neurossm compile`"),
    "trace": (lambda path: _hdf5(path, schema="neurossm-trace"), "NeuroSSM trace"),
    "truncated": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(9)), "damaged"),
    "legacy": (_legacy, "PyTorch before 1.6"),
    "wav": (_wav, "WAV"),
    "gz": (lambda path: path.write_bytes(gzip.compress(b"x" * 99)), "gunzip"),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "lfs": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
        "git lfs pull",
    ),
    "html": (lambda path: path.write_text("<!DOCTYPE html><html></html>"), "web page"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_are_named(name: str, tmp_path: Path, refused: Refused) -> None:
    make, said = OTHERS[name]
    make(tmp_path / "model.pth")
    assert said in refused(tmp_path / "model.pth")


def test_a_folder_names_its_files(state: State, tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    torch.save(state, folder / "last.ckpt")
    assert "name one file in it: last.ckpt" in refused(folder)


def test_samples_are_no_checkpoint(tmp_path: Path, refused: Refused) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros(3))
    assert "NumPy archive" in refused(tmp_path / "d.npz")


def test_what_was_assumed_or_given_is_repeated(
    state: State, foreign: ModuleType, write: Write, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from neurossm.cli import cli

    def run(*arguments: object) -> Result:
        done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done

    x = foreign.random_input(foreign.KINDS[KIND])
    model, program, data = tmp_path / "m.pt", tmp_path / "p.h5", tmp_path / "d.npz"
    np.savez(data, x=x)
    run("import", write(state), "-o", model, *ARGUMENTS)
    line = (
        "imported from source.ckpt; assumed: readout = mean over time, norm_eps = 1e-05; given: "
        "norm = layer, activation = spike, prenorm = no, residual = sum, input = uint8 of 2"
    )
    assert f"origin: {line}" in run("inspect", model).stdout
    assert f"Model {line}" in run("compile", model, "-o", program).stdout
    assert f"origin: {line}" in run("inspect", program).stdout
    verified = run("verify", program, "--data", data, "--model", model, "--engine", "reference")
    assert f"Model {line}" in verified.stdout
    page = tmp_path / "r.html"
    options = ("--data", data, "--engine", "reference")
    assert f"Model {line}" in run("report", program, *options, "-o", page).stdout
    assert line in page.read_text()
    # and for machines
    for command in (("compile", model, "-o", program), ("verify", program, *options)):
        assert json.loads(run(*command, "--json", "-").stdout)["origin"] == line, command
    reported = json.loads(run("report", program, *options, "-o", page, "--json", "-").stdout)
    assert reported["origin"] == reported["verification"]["origin"] == line
    for file in (model, program):
        assert (
            json.loads(run("inspect", file, "--json", "-").stdout)["properties"]["origin"] == line
        )
