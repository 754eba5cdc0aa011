"""Results do not depend on how samples are grouped, threaded, chunked or encoded."""

from __future__ import annotations

import threading
from types import ModuleType

import numpy as np
import pytest

from neurossm import registry as engine
from neurossm.engine.cpu import batches as fast
from neurossm.errors import InputError
from neurossm.program import Program


@pytest.fixture(scope="module")
def program(networks: ModuleType) -> Program:
    return networks.random_program(1, channels=10, modes=5, saturating=0.5, inputs=2)


@pytest.mark.parametrize("steps", [1, 3, 20, 64, 150])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads_and_batch_size(
    networks: ModuleType, program: Program, steps: int, threads: int
) -> None:
    data = networks.random_data(program.input, 2, 13, steps)
    record = ("blocks.0.spike", "blocks.1.ssm:state_re")
    whole = fast.run(program, data, record, threads=threads, count=("blocks.0.spike",))
    apart = [
        fast.run(program, data[i : i + 1], record, threads=1, count=("blocks.0.spike",))
        for i in range(13)
    ]
    np.testing.assert_array_equal(whole.logits, np.concatenate([run.logits for run in apart]))
    for name in record:
        pieces = np.concatenate([run.tensors[name] for run in apart])
        np.testing.assert_array_equal(whole.tensors[name], pieces)
    spikes = whole.tensors["blocks.0.spike"].sum(axis=1)
    np.testing.assert_array_equal(whole.nonzeros["blocks.0.spike"], spikes)
    for name in whole.saturations:
        # The readout's logits saturate once per sample, like everything else.
        assert whole.saturations[name] == sum(run.saturations.get(name, 0) for run in apart)


@pytest.mark.parametrize("rows", [1, 5, 64, 1000])
def test_chunk_size(
    networks: ModuleType, program: Program, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    data = networks.random_data(program.input, 3, 3, 70)
    expected = fast.run(program, data, ["blocks.1.add"])
    monkeypatch.setattr(fast, "ROWS", rows)
    found = fast.run(program, data, ["blocks.1.add"])
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.tensors["blocks.1.add"], expected.tensors["blocks.1.add"])


def test_data_are_encoded_in_pieces(
    networks: ModuleType, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven pieces of two samples; an error names the place of a value in all data."""
    data = networks.random_data(program.input, 4, 13, 9)
    expected = fast.run(program, data)
    monkeypatch.setattr(fast, "ENCODE_BYTES", 2 * 9 * 2 * 8)
    pieces = [x.shape for _, x in fast._encoded(program, data)]
    assert pieces == [(2, 9, 2)] * 6 + [(1, 9, 2)]
    np.testing.assert_array_equal(fast.run(program, data).logits, expected.logits)


def test_short_samples_go_together() -> None:
    """Samples of 4 steps: 16 make a chunk of 64 rows, unless that leaves a thread idle."""
    assert fast.group_size(samples=100, steps=4, threads=2) == 16
    assert fast.group_size(samples=10, steps=4, threads=2) == 5
    assert fast.group_size(samples=100, steps=784, threads=2) == 1
    assert fast.group_size(samples=1, steps=1, threads=8) == 1


def test_progress_reaches_the_number_of_steps(networks: ModuleType, program: Program) -> None:
    seen: list[tuple[str, int, int]] = []
    data = networks.random_data(program.input, 5, 6, 70)
    fast.run(program, data, progress=lambda *told: seen.append(told))
    assert seen == sorted(seen)
    assert seen[-1] == ("running", 6 * 70, 6 * 70)
    assert len(seen) > 1


def test_errors_reach_the_caller(networks: ModuleType, program: Program) -> None:
    data = networks.random_data(program.input, 6, 4, 70)

    def fail(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        fast.run(program, data, progress=fail)
    assert threading.active_count() == before
    with pytest.raises(InputError, match="no tensor 'nothing'"):
        fast.run(program, data, ["nothing"])
    with pytest.raises(InputError, match="count: .* no operation 'nothing'"):
        fast.run(program, data, count=["nothing"])
    with pytest.raises(InputError, match="threads: 0"):
        fast.run(program, data, threads=0)
    with pytest.raises(InputError, match="expects"):
        fast.run(program, data[:, :, :1])
    with pytest.raises(InputError, match="no samples"):
        fast.run(program, data[:0])
    with pytest.raises(InputError, match="longer than max_steps"):
        fast.run(program, np.zeros((1, 2000, 2), np.uint8))


def test_fast_is_the_default(networks: ModuleType, program: Program) -> None:
    assert engine.DEFAULT_ENGINE == "fast"
    data = networks.random_data(program.input, 7, 2, 5)
    np.testing.assert_array_equal(program.run(data).logits, engine.run(program, data).logits)


def test_warm_up_reports_its_time(program: Program) -> None:
    assert fast.warm_up(program) > 0.0
