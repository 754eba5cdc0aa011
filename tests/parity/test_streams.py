"""A model that answers at every step: answers of valid steps are what is verified and counted."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import compile_model, profile, verify
from neurossm.cli import cli
from neurossm.errors import InputError
from neurossm.graph.evaluate import evaluate
from neurossm.program import Program, StreamReadout, reference

LENGTHS = np.array([20, 3, 11, 20])
VALID = np.arange(20) < LENGTHS[:, None]


@pytest.fixture(scope="module")
def case(networks: ModuleType) -> tuple[Program, np.ndarray, np.ndarray]:
    """Return a program, data whose filling no input takes, and labels, some of them wrong."""
    graph = networks.random_graph(3, channels=6, kind="float", inputs=2, pool="none")
    program = compile_model(graph)
    data = networks.random_data(graph.input, 0, 4, 20)
    labels = evaluate(graph, data)["decoder"].argmax(-1)
    labels[0, :5] = (labels[0, :5] + 1) % 3
    data[~VALID], labels[~VALID] = np.nan, -1
    return program, data, labels


def test_answers_of_valid_steps_are_compared(case: Any) -> None:
    program, data, labels = case
    assert isinstance(program.readout, StreamReadout)
    outcome = verify(program, data, labels, lengths=LENGTHS, engines=["reference", "fast", "c"])
    fixed = reference.run(program, np.nan_to_num(data), lengths=LENGTHS).logits
    floats = evaluate(program.graph, np.nan_to_num(data))["decoder"]
    wanted = (fixed.argmax(-1) == labels)[VALID]
    assert outcome.accuracy["fixed"] == pytest.approx(wanted.mean())
    assert outcome.accuracy["approximated"] == pytest.approx(
        (floats.argmax(-1) == labels)[VALID].mean()
    )
    assert outcome.accuracy["approximated"] < 1  # five labels are wrong
    same = (fixed.argmax(-1) == floats.argmax(-1))[VALID]
    assert outcome.top1_agreement == pytest.approx(same.mean())
    assert outcome.exact
    assert outcome.engines[0].by_tensor["logits"] == 3 * LENGTHS.sum()
    assert [sample.prediction["fixed"] for sample in outcome.per_sample] == [None] * 4


def test_logits_are_close_to_the_floats_at_every_step(case: Any) -> None:
    program, data, _ = case
    run = program.run(data, lengths=LENGTHS)
    values = run.logits * 2.0 ** -int(program.readout.out.exponent[0])
    floats = evaluate(program.graph, data, lengths=LENGTHS)["decoder"]
    error = np.sqrt(np.mean((values - floats)[VALID] ** 2) / np.var(floats[VALID]))
    assert error < 0.2  # a spike that flips moves a few of them
    assert not run.logits[~VALID].any()


def test_every_step_is_decoded_and_counted(case: Any) -> None:
    program, data, _ = case
    counts = profile(program, data, lengths=LENGTHS).layers["decoder"]
    source = program.readout.inputs[0]
    read = program.run(data, record=[source], lengths=LENGTHS).tensors[source]
    assert counts.Dense == LENGTHS.sum() * program.readout.weight.size
    assert counts.Effective_MACs == (read != 0).sum(axis=(0, 1)) @ (
        program.readout.weight != 0
    ).sum(0)


def test_labels_must_be_of_every_step(case: Any) -> None:
    program, data, labels = case
    with pytest.raises(InputError, match="the model answers at every step"):
        verify(program, data, labels[:, 0], lengths=LENGTHS)
    wrong = np.where(VALID, labels, 0)
    wrong[0, 0] = 3
    with pytest.raises(InputError, match="the model has classes 0 to 2"):
        verify(program, data, wrong, lengths=LENGTHS)


def test_the_commands(case: Any, tmp_path: Path) -> None:
    program, data, labels = case
    program.save(tmp_path / "p.h5")
    np.savez(tmp_path / "d.npz", x=data, y=labels, lengths=LENGTHS)
    files = [str(tmp_path / "p.h5"), "--data", str(tmp_path / "d.npz")]
    out = [*files, "-o", str(tmp_path / "out.npz"), "--json", "-"]
    found = json.loads(CliRunner().invoke(cli, ["run", *out]).stdout)
    with np.load(tmp_path / "out.npz") as written:
        assert written["logits"].shape == (4, 20, 3)
        right = (written["prediction"] == labels)[VALID]
    assert found["accuracy"] == pytest.approx(right.mean())
    page = ["report", *files, "-o", str(tmp_path / "r.html")]
    result = CliRunner().invoke(cli, page)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "r.html").exists()
