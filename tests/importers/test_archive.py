"""What files hold, how it is read, and that nothing in them is run."""

from __future__ import annotations

import collections
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import Result

from neurossm.errors import FormatError
from neurossm.importers import ImportOptions, import_checkpoint
from neurossm.importers.archive import read_source

Write = Callable[..., Path]
State = dict[str, torch.Tensor]


class Harmful:
    """Runs a command when it is loaded by an ordinary pickle."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.target}'",)


class Container:
    """Pickled as OmegaConf's containers are: state in `_content`."""

    def __init__(self, content: Any) -> None:
        self.__dict__.update(_content=content, _parent=self, _metadata=object())


class Value:
    """Pickled as OmegaConf's values are: state in `_val`."""

    def __init__(self, value: Any) -> None:
        self._val = value


@pytest.fixture
def state(foreign: ModuleType) -> State:
    made: State = foreign.random_state(foreign.KINDS["official binary-s4d"])
    return made


@pytest.mark.parametrize("holder", ["bare", "state_dict", "model", "module.", "net."])
def test_places_of_the_state_dict(holder: str, state: State, write: Write) -> None:
    content: object = state
    if holder in ("state_dict", "model"):
        content = {holder: state, "epoch": 3, "acc": 0.9}
    elif holder != "bare":
        content = collections.OrderedDict((holder + name, value) for name, value in state.items())
    model = import_checkpoint(
        write(content), options=ImportOptions("uint8", activation="spike", residual="sum")
    ).model
    torch.testing.assert_close(model.decoder.weight, state["decoder.0.output_transform.weight"])


def test_parameters_and_views_are_read(state: State, write: Write) -> None:
    wide = torch.randn(12, 4)
    state["encoder.0.weight"] = torch.nn.Parameter(wide[::2, 1:3])  # strided, in a larger storage
    model = import_checkpoint(
        write(state), options=ImportOptions("uint8", activation="spike", residual="sum")
    ).model
    torch.testing.assert_close(model.encoder.weight, wide[::2, 1:3], rtol=0, atol=0)


def test_objects_beside_the_weights_are_left_out(
    state: State, write: Write, tmp_path: Path, run_import: Callable[..., Result]
) -> None:
    harm = tmp_path / "harm"
    source = write({"state_dict": state, "callbacks": [Harmful(harm)], "other": Value(1)})
    result = run_import(source, "--input", "uint8", "--activation", "spike", "--residual", "sum")
    assert result.exit_code == 0, result.output
    assert not harm.exists()
    assert "left out" in result.stdout
    assert "posix.system" in result.stdout


@pytest.mark.parametrize("place", ["whole", "state", "tensor"])
def test_objects_in_place_of_weights_are_refused(
    place: str, state: State, write: Write, tmp_path: Path, refused: Callable[..., str]
) -> None:
    harm = tmp_path / "harm"
    contents: dict[str, object] = {
        "whole": Harmful(harm),
        "state": {"state_dict": Harmful(harm)},
        "tensor": {**state, "encoder.0.weight": Harmful(harm)},
    }
    message = refused(write(contents[place]), "--input", "uint8")
    assert "posix.system" in message
    assert not harm.exists()


def test_a_whole_module_is_refused_with_a_way_out(
    write: Write, refused: Callable[..., str]
) -> None:
    message = refused(write(torch.nn.Linear(2, 3)))
    assert "torch.nn.modules.linear.Linear" in message
    assert "torch.save(model.state_dict()" in message


def test_hyper_parameters_are_a_configuration(state: State, write: Write) -> None:
    layer = {"_name_": "s4_surrogate", "disc": "zoh", "bidirectional": False}
    hyper = {"model": {"layer": layer}, "dataset": {"_name_": "mnist", "permute": False}}
    imported = import_checkpoint(write({"state_dict": state, "hyper_parameters": hyper}))
    assert imported.model.config.discretization == "zoh"
    assert imported.model.config.input.kind == "uint8"
    assert "configuration taken from the file's hyper_parameters" in imported.notes


def test_omegaconf_hyper_parameters_are_read_without_omegaconf(state: State, write: Write) -> None:
    layer = Container({"_name_": Value("s4_surrogate"), "disc": Value("zoh")})
    hyper = Container({"model": Container({"layer": layer, "n_layers": Value(2)})})
    source = read_source(write({"state_dict": state, "hyper_parameters": hyper}))
    assert source.config == {
        "model": {"layer": {"_name_": "s4_surrogate", "disc": "zoh"}, "n_layers": 2}
    }


def test_a_configuration_file_stands_above_hyper_parameters(
    state: State, write: Write, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("model: {layer: {disc: bilinear}}\n")
    hyper = {"model": {"layer": {"disc": "zoh"}}}
    source = write({"state_dict": state, "hyper_parameters": hyper})
    imported = import_checkpoint(
        source, config, ImportOptions("uint8", activation="spike", residual="sum")
    )
    assert imported.model.config.discretization == "bilinear"


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x05\x06" + bytes(18)])
def test_other_files_are_refused(
    content: bytes, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    assert "torch.save(model.state_dict()" in refused(path)


def test_a_bare_pickle_is_refused_unread(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    assert "no archive" in refused(path)
    assert not (tmp_path / "harm").exists()


def test_damaged_archives_are_refused(
    state: State, write: Write, refused: Callable[..., str]
) -> None:
    path = write(state)
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        refused(path)
    start = whole.index(b"data.pkl") + 200
    path.write_bytes(whole[:start] + bytes(40) + whole[start + 40 :])
    refused(path)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_torchscript_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "script.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    assert "TorchScript" in refused(path)


def test_our_own_checkpoint_is_refused(state: State, write: Write, tmp_path: Path) -> None:
    import_checkpoint(
        write(state), options=ImportOptions("uint8", activation="spike", residual="sum")
    ).save(tmp_path / "ours.pt")
    with pytest.raises(FormatError, match="already"):
        import_checkpoint(tmp_path / "ours.pt")


def test_a_missing_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "no such file" in refused(tmp_path / "absent.pt")


@pytest.mark.parametrize("content", [{}, {"epoch": 1}, [1, 2], torch.zeros(3)])
def test_no_state_dict(content: object, write: Write, refused: Callable[..., str]) -> None:
    assert "no state dict" in refused(write(content))
