"""Streaming: stepping equals running, in constant memory."""

from __future__ import annotations

import tracemalloc
from types import ModuleType

import numpy as np
import pytest

from neurossm.errors import InputError
from neurossm.program import Program


@pytest.fixture(scope="module")
def program(networks: ModuleType) -> Program:
    return networks.random_program(8, channels=6, modes=5, saturating=0.5)


def test_steps_equal_the_run(networks: ModuleType, program: Program) -> None:
    data = networks.random_data(program.input, 1, 2, 80)
    names = ("blocks.0.spike", "blocks.1.ssm:state_im", "blocks.1.add")
    for sample in data:
        whole = program.run(sample[None], record=names)
        session = program.session(record=names)
        for t, x in enumerate(sample):
            logits = session.step(x)
            so_far = program.run(sample[None, : t + 1]) if t % 20 == 0 else None
            if so_far is not None:
                np.testing.assert_array_equal(logits, so_far.logits[0])
                assert session.saturations == so_far.saturations
            for name in names:
                np.testing.assert_array_equal(session.tensors[name], whole.tensors[name][0, t])
        np.testing.assert_array_equal(session.logits, whole.logits[0])
        assert session.saturations == whole.saturations
        assert session.steps == 80


def test_pieces_of_any_size(networks: ModuleType, program: Program) -> None:
    """3 streams, in pieces around the chunk of 64 // 3 = 21 steps."""
    data = networks.random_data(program.input, 2, 3, 200)
    whole = program.run(data, record=["blocks.0.add"])
    session = program.session(streams=3, record=["blocks.0.add"])
    done = 0
    for size in (1, 20, 21, 22, 43, 64, 29):
        session.advance(data[:, done : done + size])
        done += size
        last = whole.tensors["blocks.0.add"][:, done - 1]
        np.testing.assert_array_equal(session.tensors["blocks.0.add"], last)
    np.testing.assert_array_equal(session.logits, whole.logits)
    session.reset()
    assert session.steps == 0
    for t in range(10):
        logits = session.step(data[:, t])
    np.testing.assert_array_equal(logits, program.run(data[:, :10]).logits)


@pytest.mark.parametrize("streams", [None, 3])
@pytest.mark.parametrize("name", ["fast", "c"])
def test_fed_pieces_give_the_logits_of_every_step(networks, program, streams, name) -> None:
    """Pieces shorter and longer than the chunk, between steps given alone."""
    data = networks.random_data(program.input, 3, streams or 1, 150)
    session = program.session(streams=streams, record=["blocks.0.add"], engine=name)
    given = data if streams else data[0]
    cut = [given[:, a:b] if streams else given[a:b] for a, b in ((0, 5), (6, 76), (76, 150))]
    found = [session.feed(cut[0])]
    alone = session.step(given[:, 5] if streams else given[5])
    found += [np.expand_dims(alone, -2), session.feed(cut[1]), session.feed(cut[2])]
    logits = np.concatenate(found, axis=-2)  # (..., steps, classes)
    whole = program.run(data, record=["blocks.0.add"])
    for t in (0, 4, 5, 6, 63, 64, 69, 70, 75, 149):
        wanted = program.run(data[:, : t + 1]).logits
        np.testing.assert_array_equal(logits[..., t, :], wanted if streams else wanted[0])
    last = whole.tensors["blocks.0.add"][:, -1]
    np.testing.assert_array_equal(session.tensors["blocks.0.add"], last if streams else last[0])
    assert session.saturations == whole.saturations


@pytest.mark.parametrize("kind", ["uint8", "tokens", "float"])
def test_inputs(networks: ModuleType, kind: str) -> None:
    """A step is (size), or one number where there is one channel."""
    program = networks.random_program(9, kind=kind, inputs=1)
    data = networks.random_data(program.input, 3, 1, 5)
    session = program.session()
    for x in data[0]:
        session.step(x[0])
    np.testing.assert_array_equal(session.logits, program.run(data).logits[0])


def test_refusals(networks: ModuleType) -> None:
    program = networks.random_program(10, max_steps=3)
    with pytest.raises(InputError, match="streams: 0"):
        program.session(streams=0)
    with pytest.raises(InputError, match="no tensor 'y'"):
        program.session(record=["y"])
    session = program.session(streams=2)
    with pytest.raises(InputError, match="before the first step"):
        _ = session.logits
    with pytest.raises(InputError, match="before the first step"):
        _ = session.tensors
    with pytest.raises(InputError, match="3 streams given, 2 begun"):
        session.step(np.zeros((3, 1), np.uint8))
    with pytest.raises(InputError, match="uint8"):
        session.step(np.zeros((2, 1)))
    for _ in range(3):
        session.step(np.zeros((2, 1), np.uint8))
    with pytest.raises(InputError, match=r"step 4 is beyond max_steps = 3"):
        session.step(np.zeros((2, 1), np.uint8))


def test_long_streams_take_constant_memory(networks: ModuleType) -> None:
    """100,000 steps at once or 300 by one: no memory is kept beyond the data's own."""
    program = networks.random_program(11, channels=3, modes=2, blocks=1, max_steps=1 << 20)
    data = networks.random_data(program.input, 4, 1, 100_000)
    session = program.session()
    session.advance(data[0, :1000])
    tracemalloc.start()
    for t in range(1000, 1300):
        session.step(data[0, t])
    before, _ = tracemalloc.get_traced_memory()
    for start in range(1300, 100_000, 1000):
        session.advance(data[0, start : start + 1000])
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000
    assert peak - before < 200_000  # a thousand steps as integers, and copies of them
    np.testing.assert_array_equal(session.logits, program.run(data).logits[0])
