"""What docs/fixed-point.md says must be refused is refused: files and data of refuse.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurossm.errors import InputError, NeuroSSMError
from neurossm.graph.data import check_data
from neurossm.program import Input, Program, unchecked

FOLDER = Path(__file__).parents[1] / "golden"
ENTRIES = json.loads((FOLDER / "refuse.json").read_text())


def ids(entry: dict[str, Any]) -> str:
    return f"{entry['case']}: {entry['why']}"


def apply(path: Path, entry: dict[str, Any]) -> None:
    """Change one attribute, dataset or group of a file."""
    place, _, attribute = entry["edit"].partition("@")
    value = entry["value"]
    with h5py.File(path, "r+") as file:
        if attribute:
            attributes = file[place].attrs if place else file.attrs
            if value is None:
                del attributes[attribute]
            else:
                attributes[attribute] = value
            return
        if value is None or place in file:
            del file[place]
        if value is not None:
            file.create_dataset(place, data=np.array(value, entry["type"]))


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "edit" in e], ids=ids)
def test_files(entry, tmp_path):
    path = tmp_path / "p.h5"
    shutil.copy(FOLDER / f"{entry['case']}.h5", path)
    apply(path, entry)
    with pytest.raises(NeuroSSMError):
        Program.load(path)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "data" in e], ids=ids)
def test_data(entry):
    given = entry["data"]
    value = np.dtype(given["type"]).type(given["value"])
    program = Program.load(FOLDER / f"{entry['case']}.h5")
    with pytest.raises(InputError):
        program.encode(np.full(given["shape"], value))


@pytest.mark.parametrize("kind", ["int8", ">i2", "uint16", "float64"])
def test_integers_of_other_types_are_read(kind, tmp_path):
    path = tmp_path / "p.h5"
    shutil.copy(FOLDER / "single.h5", path)
    with h5py.File(path) as file:
        shift = file["ops/blocks.0.ssm/pole_shift"][()].tolist()
    apply(path, {"edit": "ops/blocks.0.ssm/pole_shift", "value": shift, "type": kind})
    with h5py.File(path, "r+") as file:
        file["news"] = 1
        file.attrs["by"] = "another writer"
    assert Program.load(path)["blocks.0.ssm"].pole_shift.tolist() == shift


def test_a_range_is_compared_in_double_precision():
    """The 32-bit number next to 0.1 is above it: 0.10000000149."""
    source = Input("input", (), unchecked(8, 0, 1), "float", 1, -1.0, 0.1)
    check_data(source, np.full((1, 1, 1), 0.1))
    with pytest.raises(InputError, match="outside the declared range"):
        check_data(source, np.full((1, 1, 1), 0.1, np.float32))
