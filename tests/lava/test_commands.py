"""The command line on Lava, for both kinds of layers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.compile import compile_model
from neurossm.program import Ternary, reference


@pytest.fixture(scope="module", params=["binary", "gsu"])
def files(request, networks, tmp_path_factory):
    """Write a program and data; return their folder, the program and the data."""
    folder = tmp_path_factory.mktemp("commands")
    graph = networks.random_graph(7, mixer=request.param, blocks=1)
    program = compile_model(graph)
    assert any(isinstance(op, Ternary) for op in program.ops) == (request.param == "gsu")
    data = networks.random_data(graph.input, 8, batch=3, steps=10)
    program.save(folder / "program.h5")
    np.savez(folder / "data.npz", x=data)
    return folder, program, data


def call(*arguments):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_run_writes_the_logits_of_the_reference(files):
    folder, program, data = files
    out = folder / "out.npz"
    paths = (folder / "program.h5", "--data", folder / "data.npz")
    call("run", *paths, "--engine", "lava", "-o", out)
    with np.load(out) as written:
        assert np.array_equal(written["logits"], reference.run(program, data).logits)


def test_verify_compares_lava_with_the_fast_engine(files):
    folder, _, data = files
    report = folder / "report.json"
    paths = (folder / "program.h5", "--data", folder / "data.npz")
    call("verify", *paths, "--engine", "lava", "--engine", "fast", "--json", report)
    found = json.loads(report.read_text())
    (pair,) = found["engines"]
    assert (pair["a"], pair["b"], pair["mismatches"]) == ("lava", "fast", 0)
    # spikes, what joins the residual stream and the stream itself, logits
    steps, channels = data.shape[0] * data.shape[1], 4
    assert pair["compared"] >= 3 * steps * channels + 3 * 3
    assert found["passed"]
