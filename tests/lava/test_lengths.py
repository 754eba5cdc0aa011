"""On Lava every sample runs its own number of steps, without a gap, and ends in its own mean."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm import lava
from neurossm.lava import Schedule
from neurossm.program import reference


def test_a_schedule_of_different_lengths():
    """Samples of 2, 1 and 3 steps behind two `Dense`: steps 0 to 5 arrive at 3 to 8."""
    schedule = Schedule(reset_offset=2, lengths=(2, 1, 3))
    assert [schedule.position(t) for t in range(1, 10)] == [None, None, 0, 1, 2, 3, 4, 5, None]
    assert [t for t in range(6) if schedule.begins(t)] == [0, 2, 3]
    assert [t for t in range(6) if schedule.ends(t)] == [1, 2, 5]
    assert [schedule.sample(t) for t in range(6)] == [0, 0, 1, 2, 2, 2]
    assert [schedule.steps(i) for i in range(3)] == [2, 1, 3]


@pytest.mark.parametrize(
    ("mixer", "pool"),
    [("binary", "mean"), ("gsu", "mean"), ("binary", "last"), ("binary", "max"), ("gsu", "none")],
)
def test_integers_are_the_references(networks, worker, say, mixer, pool):
    compared = 0
    for seed in range(2):
        program = networks.random_program(
            seed, channels=4, modes=2, saturating=0.5, mixer=mixer, pool=pool
        )
        data = networks.random_data(program.input, seed, 5, 17)
        lengths = np.random.default_rng(seed).integers(1, 18, 5)
        names = tuple(program.recordings)
        expected = reference.run(program, data, names, lengths=lengths)
        found = lava.run(program, data, record=names, lengths=lengths, worker=worker, timeout=120)
        np.testing.assert_array_equal(found.logits, expected.logits)
        assert found.saturations == expected.saturations
        compared += expected.logits.size
        for name in names:
            np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], name)
            compared += int(lengths.sum()) * int(np.prod(expected.tensors[name].shape[2:]))
    say(f"Lava, {mixer}, {pool}, samples that end early: {compared:,} integers equal")


@pytest.mark.parametrize("pool", ["mean", "last", "max", "none"])
def test_float_graphs_pool_their_own_steps(networks, worker, pool):
    from neurossm.graph.evaluate import evaluate

    graph = networks.random_graph(1, channels=3, modes=2, pool=pool)
    data = networks.random_data(graph.input, 0, 3, 8)
    lengths = [8, 1, 5]
    expected = evaluate(graph, data, lengths=lengths)[graph.output.name]
    found = lava.run_graph(graph, data, lengths=lengths, worker=worker)[graph.output.name]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    for i, length in enumerate(lengths):
        alone = evaluate(graph, data[i : i + 1, :length])[graph.output.name]
        own = expected[i, :length] if pool == "none" else expected[i]
        np.testing.assert_allclose(own, alone[0], rtol=1e-12)
