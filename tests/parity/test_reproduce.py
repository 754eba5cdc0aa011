"""Engines broken on purpose: the first operation is named and a small program shows it."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import program as p
from neurossm import registry
from neurossm.cli import cli
from neurossm.errors import UnsupportedError
from neurossm.graph import Graph, InputNode
from neurossm.parity import verify
from neurossm.parity.engines import locate
from neurossm.parity.reproduce import smallest_case
from neurossm.program import reference
from neurossm.program.certificate import derive

BROKEN = {
    "Affine": lambda y: y + (y == y.max()),
    "Dense": lambda y: y + (y > 40),
    "Spike": lambda y: 1 - y,
    "Ternary": lambda y: y * (y > 0),
    "Table": lambda y: y + 1,
    "Product": lambda y: y - (y < 0),
    "Add": lambda y: y ^ 1,
    "LayerNorm": lambda y: y + (y > 100),
    "Embedding": lambda y: y + 1,
    "SSM": lambda y: y + (np.abs(y) > 50),
}


@pytest.fixture
def break_fast(monkeypatch):
    """Make the engine "fast" the reference with one kind of operation broken."""

    def breaking(kind, change):
        whole = getattr(p, kind).step
        true_run = registry.run

        def step(self, state, *inputs, tally):
            state, y = whole(self, state, *inputs, tally=tally)
            return state, change(y)

        def run(program, data, engine="fast", record=(), **_):
            if engine != "fast":
                return true_run(program, data, engine=engine, record=record)
            with monkeypatch.context() as patch:
                patch.setattr(getattr(p, kind), "step", step)
                return reference.run(program, data, record)

        monkeypatch.setattr(registry, "run", run)

    return breaking


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_broken_operation_is_named_and_cut_out(networks, break_fast, kind):
    gsu = kind in ("Ternary", "LayerNorm")
    tokens = kind == "Embedding"
    program = networks.random_program(
        5, mixer="gsu" if gsu else "binary", kind="tokens" if tokens else "uint8", channels=5
    )
    data = networks.random_data(program.input, 1, batch=3, steps=12)
    break_fast(kind, BROKEN[kind])
    found = locate(program, data[:1], "fast", "reference")
    assert found is not None
    assert found.type == kind
    # Nothing before it in the program, and nothing earlier in time, can differ: it is the first
    # of its kind whose value the change touches. Both values are those of the engines.
    case = smallest_case(program, data[:1], "fast", "reference")
    assert case is not None
    assert case.origin == found
    kinds = [type(op).__name__ for op in case.program.ops]
    expected = ["Input", kind, "Readout"]
    if kind in ("Product", "Add"):
        expected = ["Input", "Dense", "Dense", kind, "Readout"]
    assert kinds == expected
    assert case.data.shape[:2] == (1, 1)  # one sample; stateless, or wrong from its first step on
    channels = case.program[found.operation].out.channels
    assert channels == (5 if kind == "LayerNorm" else 1)
    assert (case.mismatch.a, case.mismatch.b) != (None, None)
    assert case.mismatch.a != case.mismatch.b


def test_a_wrong_state_is_cut_to_its_mode(networks, monkeypatch):
    program = networks.random_program(2, channels=4, modes=3, blocks=1)
    data = networks.random_data(program.input, 0, batch=2, steps=10)
    true_run = registry.run

    def run(program, data, engine="fast", record=(), **_):
        result = true_run(program, data, engine="reference", record=record)
        if engine == "reference":
            return result
        tensors = dict(result.tensors)
        for name, values in tensors.items():
            if name.endswith(":state_im"):
                tensors[name] = values.copy()
                tensors[name][..., -1, -1] += 7  # the last channel's last mode, at every step
        return replace(result, tensors=tensors)

    monkeypatch.setattr(registry, "run", run)
    case = smallest_case(program, data, "fast", "reference")
    assert case is not None
    assert case.origin.tensor == "blocks.0.ssm:state_im"
    assert case.origin.index == (3, 2)
    assert case.origin.step == 0
    assert case.origin.a - case.origin.b == 7
    ssm = case.program["blocks.0.ssm"]
    assert (ssm.out.channels, ssm.modes) == (1, 1)
    original = program["blocks.0.ssm"]
    assert ssm.a_re[0, 0] == original.a_re[3, 2]
    assert case.data.shape == (1, 1, 1)


def test_an_engine_that_runs_whole_blocks_only_gets_whole_blocks(networks, monkeypatch):
    program = networks.random_program(3, blocks=3)
    data = networks.random_data(program.input, 1, batch=1, steps=8)
    true_run = registry.run

    def run(program, data, engine="fast", record=(), **_):
        result = true_run(program, data, engine="reference", record=record)
        if engine == "reference":
            return result
        if len(program.ops) < 10:
            raise UnsupportedError("no whole block")
        tensors = dict(result.tensors)
        if "blocks.1.spike" in tensors:
            tensors["blocks.1.spike"] = 1 - tensors["blocks.1.spike"]
        return replace(result, tensors=tensors)

    monkeypatch.setattr(registry, "run", run)
    case = smallest_case(program, data, "fast", "reference")
    assert case is not None
    assert case.mismatch.operation == "blocks.1.spike"
    names = [op.name for op in case.program.ops]
    assert names[-2:] == ["blocks.1.spike", "readout"]  # what leads to it, and no block after it
    assert case.data.shape[1] == 1


def test_equal_engines_leave_no_case(networks):
    program = networks.random_program(2)
    data = networks.random_data(program.input, 0, batch=1, steps=5)
    assert smallest_case(program, data, "reference", "reference") is None


def test_the_files_show_the_mismatch_again(networks, break_fast, tmp_path):
    program = networks.random_program(4, blocks=1)
    data = networks.random_data(program.input, 3, batch=2, steps=6)
    break_fast("Product", BROKEN["Product"])
    outcome = verify(
        program, data, engines=("fast", "reference"), reproducers=tmp_path, state_samples=0
    )
    assert not outcome.passed
    (pair,) = outcome.to_json()["engines"]
    assert pair["mismatch"]["operation"] == "blocks.0.glu"
    folder = tmp_path / "mismatch-fast-reference"
    with np.load(folder / "expected.npz") as expected, np.load(folder / "data.npz") as data:
        logits, product, x = expected["logits"], expected["tensors/blocks.0.glu"], data["x"]
    cut = p.Program.load(folder / "program.h5")
    run = reference.run(cut, x, ["blocks.0.glu"])
    assert np.array_equal(product, run.tensors["blocks.0.glu"])
    assert np.array_equal(logits, run.logits)
    # The printed command fails and names the operation; with the engine mended it passes.
    words = shlex.split(pair["reproducer"])
    result = CliRunner().invoke(cli, [*words[1:], "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 1, result.output
    assert "first mismatch: blocks.0.glu (Product, layer blocks.0)" in result.output
    assert "no float model" in result.output


@pytest.mark.parametrize("kind", ["LIF", "Relu"])
def test_operations_of_any_type_are_cut_to_one_channel(break_fast, kind):
    # "Whatever works channel by channel" is read off an operation's fields, not from a list.
    source = p.Input("x", (), p.unchecked(9, 0, 3), "uint8", 3, 0.0, 255.0)
    own = {
        "LIF": lambda: p.LIF("op", ("x",), p.unchecked(2, 0, 3), [1, 2, 3], [2] * 3, [9] * 3, 24),
        "Relu": lambda: p.Relu("op", ("x",), p.unchecked(9, 0, 3), [0, 1, 2]),
    }[kind]()
    readout = p.Readout("readout", ("op",), p.unchecked(24, 0, 2), [[1, 2, 3]] * 2, [0, 0], 0, 99)
    whole = p.Program(
        derive((source, own, readout)),
        Graph((InputNode("x", (), "uint8", 3, 0.0, 255.0, 1.0),)),
        "loihi2-sim",
    )
    data = np.random.default_rng(0).integers(0, 256, (2, 8, 3)).astype(np.uint8)
    break_fast(kind, lambda y: y + (np.arange(y.shape[1]) == 1) if y.shape[1] > 1 else y + 1)
    case = smallest_case(whole, data, "fast", "reference")
    assert case is not None
    assert case.origin.index == (1,)
    cut = case.program["op"]
    assert cut.out.channels == 1
    assert (
        [int(value) for value in (cut.decay[0], cut.threshold[0])] == [2, 9]
        if kind == "LIF"
        else cut.shift == [1]
    )
