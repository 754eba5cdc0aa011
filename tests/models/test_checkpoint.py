from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurossm
from neurossm.errors import FormatError, InputError, NeuroSSMError
from neurossm.models import InputSpec, ModelConfig, Network, load, save

Make = Callable[..., Network]


@pytest.fixture
def content(make_network: Make, tmp_path: Path) -> dict[str, Any]:
    """What `save` writes, to be spoilt."""
    path = tmp_path / "good.pt"
    save(path, make_network(layer="gsu"))
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def refused(tmp_path: Path, content: object) -> str:
    path = tmp_path / "bad.pt"
    torch.save(content, path)
    with pytest.raises(NeuroSSMError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layer", ["binary-s4d", "gsu"])
def test_round_trip(make_network: Make, tmp_path: Path, layer: str, dtype: torch.dtype) -> None:
    model = make_network(layer=layer, dtype=dtype)
    x = torch.randint(0, 256, (5, 30, 1), dtype=torch.uint8)
    path = tmp_path / "model.pt"
    save(path, model, x[:2], {"seed": 7})
    found = neurossm.load(path)
    assert found.config == model.config
    assert not found.model.training
    assert found.model.dtype == dtype
    assert torch.equal(found.model(x), model(x))
    assert found.calibration is not None
    assert found.calibration.dtype == np.uint8
    np.testing.assert_array_equal(found.calibration, x[:2].numpy())
    assert found.training == {"seed": 7}
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_slice_of_a_large_data_set_does_not_drag_the_rest_along(
    make_network: Make, tmp_path: Path
) -> None:
    data = torch.zeros(1000, 784, 1, dtype=torch.uint8)
    save(tmp_path / "model.pt", make_network(), data[:2])
    assert (tmp_path / "model.pt").stat().st_size < 100_000


def test_loading_leaves_random_numbers_alone(make_network: Make, tmp_path: Path) -> None:
    save(tmp_path / "model.pt", make_network())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(tmp_path / "model.pt")
    assert torch.equal(torch.rand(3), expected)


def test_weights_that_are_not_finite_are_not_saved(make_network: Make, tmp_path: Path) -> None:
    model = make_network()
    with torch.no_grad():
        model.decoder.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"not written: decoder\.weight holds 1 values"):
        save(tmp_path / "model.pt", model)
    assert list(tmp_path.iterdir()) == []


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        load(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04 truncated"])
def test_not_a_checkpoint(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(data)
    with pytest.raises(FormatError, match="not a checkpoint"):
        load(path)


def test_an_archive_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, x=np.zeros(3))
    with pytest.raises(FormatError, match="not a checkpoint"):
        load(path)


def test_a_pickled_module(make_network: Make, tmp_path: Path) -> None:
    message = refused(tmp_path, make_network())
    assert "pickled Python objects" in message
    assert "state_dict()" in message


def test_a_foreign_state_dict(make_network: Make, tmp_path: Path) -> None:
    assert "not a NeuroSSM checkpoint" in refused(tmp_path, make_network().state_dict())


def test_a_newer_version(content: dict[str, Any], tmp_path: Path) -> None:
    message = refused(tmp_path, content | {"version": 99})
    assert "checkpoint version 99, this release reads up to 2" in message


def test_missing_and_extra_weights(content: dict[str, Any], tmp_path: Path) -> None:
    state = dict(content["state"])
    gone = state.pop("blocks.1.mixer.weight")
    assert "missing blocks.1.mixer.weight" in refused(tmp_path, content | {"state": state})
    state |= {"blocks.1.mixer.weight": gone, "head.bias": gone}
    assert "unknown head.bias" in refused(tmp_path, content | {"state": state})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda w: w[:-1],
            "blocks.0.mixer.weight has shape (5, 6), the configuration needs (6, 6)",
        ),
        (lambda w: w.half(), "blocks.0.mixer.weight is torch.float16; convert it to float32"),
        (lambda w: w / 0, "blocks.0.mixer.weight holds 36 values that are NaN or infinite"),
        (lambda w: w.long(), "blocks.0.mixer.weight is torch.int64"),
    ],
)
def test_wrong_weights(
    content: dict[str, Any], tmp_path: Path, spoil: Callable[..., Any], message: str
) -> None:
    name = "blocks.0.mixer.weight"
    state = content["state"] | {name: spoil(content["state"][name])}
    assert message in refused(tmp_path, content | {"state": state})


def test_wrong_configuration(content: dict[str, Any], tmp_path: Path) -> None:
    config = content["config"]
    assert "configuration: missing" in refused(tmp_path, content | {"config": None})
    message = refused(tmp_path, content | {"config": config | {"layer": "lstm"}})
    assert "layer is 'lstm'" in message
    assert "state: expected a name" in refused(tmp_path, content | {"state": [1]})


def test_no_code_runs(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    refused(tmp_path, {"format": "neurossm-checkpoint", "version": 1, "state": Trap()})
    assert not (tmp_path / "sprung").exists()


def test_calibration_samples_keep_their_lengths(tmp_path):
    config = ModelConfig("binary-s4d", InputSpec.uint8(), 2, n_layers=1, d_model=4, d_state=4)
    x = np.zeros((3, 5, 1), np.uint8)
    save(tmp_path / "m.pt", Network(config), x, calibration_lengths=np.array([5, 2, 1]))
    loaded = load(tmp_path / "m.pt")
    assert loaded.calibration_lengths is not None
    assert loaded.calibration_lengths.tolist() == [5, 2, 1]
    assert torch.load(tmp_path / "m.pt", weights_only=True)["version"] == 2
    save(tmp_path / "m.pt", Network(config), x)
    assert torch.load(tmp_path / "m.pt", weights_only=True)["version"] == 1
    assert load(tmp_path / "m.pt").calibration_lengths is None


def sparse(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1).to_sparse()


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ([1, 2], "calibration: expected a tensor"),
        (sparse(torch.ones(2, 3)), "kind torch.sparse_coo"),
        (torch.zeros(2, 3, device="meta"), "kind meta"),
        (torch.zeros(1).expand(1 << 40), "repeats fewer stored values"),
        (torch.zeros(2, 5, 1, dtype=torch.bfloat16), "torch.bfloat16"),
        (torch.zeros(2, 5, 1, dtype=torch.complex64), "torch.complex64"),
    ],
)
def test_a_calibration_batch_that_is_no_plain_tensor(
    content: dict[str, Any], tmp_path: Path, calibration: object, message: str
) -> None:
    assert message in refused(tmp_path, content | {"calibration": calibration})


def test_weights_that_repeat_fewer_values(content: dict[str, Any], tmp_path: Path) -> None:
    state = content["state"] | {"blocks.0.mixer.weight": torch.zeros(1).expand(6, 6)}
    message = refused(tmp_path, content | {"state": state})
    assert "blocks.0.mixer.weight: shape (6, 6) repeats" in message


@pytest.mark.parametrize("version", [True, 0, -5, "1", None, 1.0])
def test_versions_never_written(content: dict[str, Any], tmp_path: Path, version: object) -> None:
    message = refused(tmp_path, content | {"version": version})
    assert f"checkpoint version {version!r} is not one ever written" in message


@pytest.mark.parametrize(
    "size", [{"n_layers": 10**9}, {"d_model": 10**9}, {"d_state": 10**9}, {"classes": 10**9}]
)
def test_a_network_far_larger_than_its_weights_is_not_built(
    content: dict[str, Any], tmp_path: Path, size: dict[str, int]
) -> None:
    message = refused(tmp_path, content | {"config": content["config"] | size})
    assert "need far more than" in message


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("prenorm", "x", "'x'"),
        ("prenorm", 1, "1"),
        ("n_layers", 1.0, "1.0"),
        ("n_layers", torch.ones(2), "a Tensor"),
        ("dropout", "0", "'0'"),
    ],
)
def test_values_of_another_type(
    content: dict[str, Any], tmp_path: Path, field: str, value: object, shown: str
) -> None:
    message = refused(tmp_path, content | {"config": content["config"] | {field: value}})
    assert f"configuration: {field} is {shown}, which is of another type" in message
