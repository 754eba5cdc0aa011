"""Traces: what is in the file, that it is whole, and that memory does not hold it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from neurossm.errors import InputError
from neurossm.program import Program
from neurossm.trace import default_names, write_trace


@pytest.fixture(scope="module")
def program(networks: ModuleType) -> Program:
    return networks.random_program(12, channels=6, modes=3, saturating=0.5)


def test_file_holds_the_tensors(networks: ModuleType, program: Program, tmp_path: Path) -> None:
    data = networks.random_data(program.input, 1, 5, 100)
    names = (*default_names(program), "blocks.0.ssm:state_re")
    assert names[:2] == ("blocks.0.spike", "blocks.0.add")
    expected = program.run(data, record=names)
    path = tmp_path / "trace.h5"
    run = write_trace(path, program, data, names, threads=3)
    np.testing.assert_array_equal(run.logits, expected.logits)
    assert run.tensors == {}
    with h5py.File(path) as file:
        assert (file.attrs["schema"], file.attrs["version"]) == ("neurossm-trace", 1)
        assert list(file["tensors"]) == list(names)
        for name in names:
            np.testing.assert_array_equal(file["tensors"][name][:], expected.tensors[name])
        assert file["tensors/blocks.0.spike"].dtype == np.int8
        assert file["tensors/blocks.0.add"].attrs["bits"] == program["blocks.0.add"].out.bits
        assert file["tensors/blocks.0.ssm:state_re"].shape == (5, 100, 6, 3)
        np.testing.assert_array_equal(file["logits"][:], expected.logits)
        assert json.loads(file["saturations"].asstr()[()]) == expected.saturations


def test_default_is_spikes_and_residuals(
    networks: ModuleType, program: Program, tmp_path: Path
) -> None:
    write_trace(tmp_path / "t.h5", program, networks.random_data(program.input, 1, 1, 3))
    with h5py.File(tmp_path / "t.h5") as file:
        kinds = {type(program[name]).__name__ for name in file["tensors"]}
    assert kinds == {"Spike", "Add"}


def test_failure_leaves_nothing(networks: ModuleType, program: Program, tmp_path: Path) -> None:
    data = networks.random_data(program.input, 1, 4, 100)

    def fail(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_trace(tmp_path / "trace.h5", program, data, progress=fail)
    with pytest.raises(InputError, match="no tensor 'x'"):
        write_trace(tmp_path / "trace.h5", program, data, ["x"])
    assert list(tmp_path.iterdir()) == []


def test_samples_that_end_early_are_0_behind_their_end(networks, tmp_path):
    program = networks.random_program(2, channels=4, modes=2, inputs=1)
    data = networks.random_data(program.input, 0, 3, 11)
    run = write_trace(tmp_path / "t.h5", program, data, ["encoder"], lengths=[11, 3, 7])
    expected = program.run(data, "reference", ["encoder"], lengths=[11, 3, 7])
    np.testing.assert_array_equal(run.logits, expected.logits)
    with h5py.File(tmp_path / "t.h5") as file:
        np.testing.assert_array_equal(file["tensors/encoder"][:], expected.tensors["encoder"])
        assert file["lengths"][:].tolist() == [11, 3, 7]
