"""Files of every kind that this version wrote are read, and mean what they meant.

`tests/golden` holds programs of versions 1 and 2; `tests/kept` one of each other kind.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import neurossm
from neurossm.c.datafile import data_bytes
from neurossm.c.source import source_of
from neurossm.compile.precision import load_precision
from neurossm.datafile import load_data, save_logits
from neurossm.graph.evaluate import evaluate
from neurossm.hw_profiles import load_profile
from neurossm.models.checkpoint import load
from neurossm.trace import write_trace
from neurossm.train.settings import read_tables

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "tests" / "kept"
PAGE = (ROOT / "docs" / "formats.md").read_text("utf-8")


@pytest.fixture(scope="module")
def program() -> neurossm.Program:
    return neurossm.Program.load(KEPT / "program-2.h5")


@pytest.fixture(scope="module")
def data():
    return load_data(KEPT / "DATA.npz")


def test_samples(data) -> None:
    assert data.x.shape == (3, 20, 1)
    assert data.x.dtype == np.uint8
    assert data.y.tolist() == [0, 2, 1]
    assert data.lengths.tolist() == [20, 1, 13]


@pytest.mark.parametrize("version", [1, 2])
def test_checkpoints_are_the_kept_graph(version: int, data) -> None:
    checkpoint = load(KEPT / f"checkpoint-{version}.pt")
    graph = neurossm.Graph.load(KEPT / "graph-2.h5")
    exported = neurossm.export(checkpoint)
    assert np.allclose(_logits(exported, data.x), _logits(graph, data.x), rtol=1e-12, atol=1e-12)
    assert np.array_equal(checkpoint.calibration, data.x)
    lengths = checkpoint.calibration_lengths
    assert (None if lengths is None else lengths.tolist()) == {1: None, 2: [20, 1, 13]}[version]


def _logits(graph: neurossm.Graph, x: np.ndarray) -> np.ndarray:
    return evaluate(graph, x)[graph.output.name]


def test_the_program_gives_its_logits(program, data, tmp_path: Path) -> None:
    run = program.run(data.x, "reference", lengths=data.lengths)
    save_logits(tmp_path / "out.npz", program, run)
    with np.load(KEPT / "OUT.npz") as kept, np.load(tmp_path / "out.npz") as now:
        assert set(now) == set(kept) == {"logits", "logits_exponent", "prediction"}
        for name in kept:
            assert np.array_equal(now[name], kept[name]), name


def test_the_trace_says_the_same(program, data, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.h5", program, data.x, lengths=data.lengths)
    with h5py.File(KEPT / "trace-1.h5") as kept, h5py.File(tmp_path / "trace.h5") as now:
        assert set(now["tensors"]) == set(kept["tensors"])
        for name, tensor in kept["tensors"].items():
            assert np.array_equal(now["tensors"][name][...], tensor[...]), name


def test_the_samples_of_emitted_c(program, data) -> None:
    """An emitted `main` of this version reads what a later one would write."""
    source = source_of(program, "network", "portable")
    assert data_bytes(program, source, data.x) == (KEPT / "data-1.bin").read_bytes()


def test_texts() -> None:
    precision = load_precision(KEPT / "precision-1.toml")
    assert precision.layers == {"blocks.0": {"state": 20}}
    assert precision.default == neurossm.Widths()
    assert load_profile(KEPT / "profile.toml").name == "loihi2-sim"
    assert read_tables(KEPT / "settings.toml")["model"]["d_state"] == 32


def test_the_page_names_every_version() -> None:
    """And each kind's present version is the one in the code."""
    from neurossm import trace
    from neurossm.compile import precision
    from neurossm.graph import graph
    from neurossm.models import checkpoint
    from neurossm.program import program as program_room

    listed = dict(
        re.findall(r"^\| `(neurossm-[a-z]+)` \|[^|]*\|\s*([0-9, ]+) \|", PAGE, flags=re.M)
    )
    rooms = (graph, program_room, trace, precision)
    versions = {room.SCHEMA: room.VERSION for room in rooms} | {
        checkpoint.FORMAT: checkpoint.VERSION
    }
    assert {kind: int(numbers.split(", ")[-1]) for kind, numbers in listed.items()} == versions
