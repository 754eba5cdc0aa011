"""`neurossm run`: results, traces, options that do not go together, errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from neurossm.cli import cli
from neurossm.program import Program, reference


@pytest.fixture
def case(small_program: Callable[..., Program], tmp_path: Path) -> SimpleNamespace:
    program = small_program()
    x = np.random.default_rng(0).integers(0, 256, (5, 9), np.uint8)
    expected = reference.run(program, x, ["blocks.0.spike", "blocks.0.add"])
    y = expected.logits.argmax(axis=1)
    y[0] = 1 - y[0]  # one label of five is wrong
    program.save(tmp_path / "program.h5")
    np.savez(tmp_path / "data.npz", x=x, y=y)

    def invoke(*arguments: str) -> Result:
        paths = [str(tmp_path / "program.h5"), "--data", str(tmp_path / "data.npz")]
        return CliRunner().invoke(cli, ["run", *paths, *arguments])

    return SimpleNamespace(program=program, x=x, expected=expected, invoke=invoke, folder=tmp_path)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_logits_and_accuracy(case: SimpleNamespace, engine: str) -> None:
    out = case.folder / "out.npz"
    result = case.invoke("--engine", engine, "-o", str(out))
    assert result.exit_code == 0, result.output
    assert f"5 samples on engine '{engine}' in " in result.stdout
    assert "accuracy 80.00%" in result.stdout
    with np.load(out) as saved:
        np.testing.assert_array_equal(saved["logits"], case.expected.logits)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_samples_that_end_early(case: SimpleNamespace, engine: str) -> None:
    """Logits and predictions are those of each sample alone, cut to its length."""
    lengths = np.array([9, 1, 4, 9, 2])
    x = case.x.copy()
    x[1, 1:] = 99
    np.savez(case.folder / "data.npz", x=x, lengths=lengths)
    out = case.folder / "out.npz"
    result = case.invoke("--engine", engine, "-o", str(out))
    assert result.exit_code == 0, result.output
    with np.load(out) as saved:
        for i, length in enumerate(lengths):
            alone = reference.run(case.program, case.x[i : i + 1, :length]).logits[0]
            np.testing.assert_array_equal(saved["logits"][i], alone)
            assert saved["prediction"][i] == alone.argmax()
    np.savez(case.folder / "data.npz", x=x, lengths=lengths - 1)
    result = case.invoke("--engine", engine)
    assert result.exit_code == 1
    assert "lengths[1] is 0; x has 9 steps" in result.stderr


def test_compilation_is_reported_apart(case: SimpleNamespace) -> None:
    found = json.loads(case.invoke("--threads", "1", "--json", "-").stdout)
    assert found["compile_seconds"] > 0.0
    assert (found["engine"], found["device"], found["accuracy"]) == ("fast", "cpu", 0.8)
    assert "kernels ready after" in case.invoke().stdout
    found = json.loads(case.invoke("--engine", "reference", "--json", "-").stdout)
    assert found["compile_seconds"] == 0.0


def test_trace_in_the_same_run(case: SimpleNamespace) -> None:
    trace, out = case.folder / "trace.h5", case.folder / "out.npz"
    result = case.invoke("--trace", str(trace), "-o", str(out))
    assert result.exit_code == 0, result.output
    assert "accuracy 80.00%" in result.stdout
    assert f"wrote {trace}" in result.stdout
    with h5py.File(trace) as file:
        assert list(file["tensors"]) == ["blocks.0.spike", "blocks.0.add"]
        for name, expected in case.expected.tensors.items():
            np.testing.assert_array_equal(file["tensors"][name][:], expected)
    with np.load(out) as saved:
        np.testing.assert_array_equal(saved["logits"], case.expected.logits)


def test_records_what_is_asked(case: SimpleNamespace) -> None:
    trace = case.folder / "trace.h5"
    names = ["blocks.0.ssm", "blocks.0.ssm:state_im"]
    options = [option for name in names for option in ("--record", name)]
    assert case.invoke("--trace", str(trace), *options).exit_code == 0
    expected = reference.run(case.program, case.x, names).tensors
    with h5py.File(trace) as file:
        assert list(file["tensors"]) == names
        for name in names:
            np.testing.assert_array_equal(file["tensors"][name][:], expected[name])


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (["--record", "encoder"], 2, "give --trace TRACE.h5 too"),
        (["--trace", "t.h5", "--engine", "reference"], 1, "writes no traces; use --engine fast"),
        (["--trace", "missing/t.h5"], 1, "missing does not exist; create it"),
        (["--trace", "t.h5", "--record", "nothing"], 1, "no tensor 'nothing'"),
        (["--threads", "0"], 1, "threads: 0, must be an integer of at least 1"),
        (["--threads", "2", "--engine", "reference"], 1, "'reference' has no number of threads"),
        (["--device", "cuda", "--engine", "reference"], 1, "runs on the CPU only; use fast"),
        (["--device", "tpu"], 2, "'tpu' is not one of"),
        (["--limit", "6"], 1, "limit 6, but there are 5 samples"),
    ],
)
def test_errors_are_one_line(
    case: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    problem: str,
) -> None:
    monkeypatch.chdir(case.folder)
    result = case.invoke(*arguments)
    assert result.exit_code == status
    assert problem in result.stderr
    if status == 1:
        assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in case.folder.iterdir()) == ["data.npz", "program.h5"]


def test_data_are_checked_before_a_trace(case: SimpleNamespace) -> None:
    np.savez(case.folder / "data.npz", x=np.zeros((2, 3, 4), np.uint8))
    result = case.invoke("--trace", str(case.folder / "trace.h5"))
    assert result.exit_code == 1
    assert "data.npz: " in result.stderr
    assert not (case.folder / "trace.h5").exists()
