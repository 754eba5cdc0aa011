"""The official code's networks of `examples/official`, from the checkpoint to integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.compile import compile_model
from neurossm.parity import verify

EXAMPLES = Path(__file__).parents[2] / "examples"
OFFICIAL = EXAMPLES / "official"
DIGITS = 200
CALIBRATION = 32  # of 256: an eighth of the time; with all, every layer of both is above 99 %
SPIKES = {"binary_s4d": 0.99, "gsu": 0.985}  # equal, integers to approximated; 99.1 and 98.99 %


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(EXAMPLES / "smnist" / "mnist_test.npz") as file:
        return file["x"][:DIGITS], file["y"][:DIGITS]


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / "calibration.npz"
    with np.load(OFFICIAL / "calibration.npz") as file:
        np.savez(path, x=file["x"][:CALIBRATION])
    return path


@pytest.mark.parametrize("name", SPIKES)
def test_parity_after_import(
    name: str, digits: tuple[np.ndarray, np.ndarray], calibration: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.pt"
    arguments = ["import", OFFICIAL / f"{name}.ckpt", "-o", model, "--calibration", calibration]
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "uint8 (pixels) of 1" in done.output  # the configuration names the dataset

    program = compile_model(model)
    assert program.provenance["options"]["scaling"] == "proved"
    assert program.provenance["rounding"] == "adjusted"  # the calibration digits came along
    results = verify(program, *digits, model, ("fast",), state_samples=1).to_json()
    assert results["accuracy"]["float"] >= 0.975
    assert abs(results["paired_difference"]["difference"]) <= 0.01  # two digits
    assert results["top1_agreement"] >= 0.99  # all of them were equal
    for layer in results["rungs"]["approximated_fixed"]["layers"]:
        assert layer["spike_agreement"] >= SPIKES[name], layer["name"]
    static = [item.name for item in program.approximations if item.name.endswith(":threshold")]
    assert static == [f"blocks.{i}.ternary:threshold" for i in range(4) if name == "gsu"]


@pytest.mark.lava
@pytest.mark.parametrize("name", SPIKES)
def test_lava_gives_the_integers_of_the_fast_engine(
    name: str, digits: tuple[np.ndarray, np.ndarray], calibration: Path, tmp_path: Path
) -> None:
    from neurossm.importers import import_checkpoint

    with np.load(calibration) as file:
        few = file["x"][:4, 200:300]
    model = import_checkpoint(OFFICIAL / f"{name}.ckpt").model
    program = compile_model(model, calibration=few)
    x = digits[0][:2, 200:260]  # where the strokes are
    spiking = "spike" if name == "binary_s4d" else "ternary"
    names = [f"blocks.{i}.{part}" for i in range(4) for part in (spiking, "add")]
    expected = program.run(x, engine="fast", record=names)
    got = program.run(x, engine="lava", record=names)
    for tensor in names:
        np.testing.assert_array_equal(got.tensors[tensor], expected.tensors[tensor], tensor)
    np.testing.assert_array_equal(got.logits, expected.logits)
    assert expected.tensors[f"blocks.3.{spiking}"].any()
