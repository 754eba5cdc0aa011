"""The leaky integrator with threshold and hard reset, by hand and against Python integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm import graph as g
from neurossm import program as p
from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.errors import InputError, LimitError
from neurossm.graph.evaluate import evaluate
from neurossm.parity import verify
from neurossm.program.certificate import certificates
from neurossm.program.work import Work


def make(decay: int, shift: int, threshold: int, bits: int = 24) -> p.LIF:
    out = p.unchecked(2, 0, 1)
    return p.LIF(
        "n", ("x",), out, np.array([decay]), np.array([shift]), np.array([threshold]), bits
    )


def run(op: p.LIF, inputs: list[int]) -> tuple[list[int], list[int], dict[str, int]]:
    state, tally = op.start(1), p.Tally()
    spikes, states = [], []
    for x in inputs:
        state, s = op.step(state, np.array([[x]]), tally=tally)
        spikes.append(int(s[0, 0]))
        states.append(int(state["state"][0, 0]))
    return spikes, states, dict(tally)


def test_by_hand() -> None:
    # decay 1/2, threshold 10: 6; 3 + 6 = 9; 5 + 6 = 11 fires; 0 + 6; -3 + ... floor((6+1)/2) - 9
    assert run(make(1, 1, 10), [6, 6, 6, 6, -9, 0]) == (
        [0, 0, 1, 0, 0, 0],
        [6, 9, 0, 6, -6, -3],
        {},
    )


def test_at_the_threshold_it_waits() -> None:
    assert run(make(0, 0, 10), [10, 11]) == ([0, 1], [10, 0], {})


def test_clipped_states_are_counted_and_compared_clipped() -> None:
    # 8 bits: 127 at most, and -128 at least; the threshold is never reached
    assert run(make(1, 0, 127, 8), [100, 100, -300]) == (
        [0, 0, 0],
        [100, 127, -128],
        {"n:state": 2},
    )


@given(
    st.integers(0, 12).flatmap(lambda k: st.tuples(st.integers(0, 1 << k), st.just(k))),
    st.integers(-300, 300),
    st.integers(4, 20),
    st.lists(st.integers(-500, 500), min_size=1, max_size=30),
)
def test_steps_are_their_equation_and_stay_within_their_bounds(
    decay: tuple[int, int], threshold: int, bits: int, inputs: list[int]
) -> None:
    op = make(*decay, threshold, bits)
    bound = op.state_bounds(p.Interval(np.array([min(inputs)]), np.array([max(inputs)])))["state"]
    v, spikes, states, clipped = 0, [], [], 0
    limit = 1 << (bits - 1)
    for x in inputs:
        half = (1 << decay[1]) >> 1
        before = ((decay[0] * v + half) >> decay[1]) + x
        assert bound.low[0] <= before <= bound.high[0]
        v = min(max(before, -limit), limit - 1)
        clipped += v != before
        spikes.append(int(v > threshold))
        v = 0 if v > threshold else v
        states.append(v)
    assert run(op, inputs) == (spikes, states, {"n:state": clipped} if clipped else {})


def test_the_bounds_are_reached() -> None:
    op = make(7, 3, 1000)  # decay 7/8
    x = p.Interval(np.array([-80]), np.array([90]))
    bound = op.state_bounds(x)["state"]
    v = 0
    for _ in range(200):
        v = ((7 * v + 4) >> 3) - 80
    # roundings may add up to 1/2 / (1/8) = 4 either way, and the bound is one further outward
    assert bound.low[0] <= v <= bound.low[0] + 10
    assert bound.high[0] == 875 + 90
    assert op.states_proved(x)
    assert not make(8, 3, 1000).states_proved(x)  # without decay it adds up for ever
    assert make(8, 3, 1000).states_proved(p.Interval(np.array([0]), np.array([90])))


def test_work_and_messages() -> None:
    op = make(1, 1, 10)
    # a product; the sum with x and the comparison
    assert op.work() == Work(state_updates=1, state_multiplies=1, state_adds=2)
    assert op.message_bits == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((9, 3, 0), "decay outside"),
        ((-1, 3, 0), "decay outside"),
        ((1, 31, 0), "decay_shift must be 0 to 30"),
        ((1, 1, 0, 1), "state_bits 1, must be 2 to 40"),
    ],
)
def test_bad_fields(fields: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(*fields)


def network(decay: Any, threshold: Any) -> g.Graph:
    rng = np.random.default_rng(1)
    width = len(decay)

    def linear(name: str, source: str, rows: int, columns: int) -> g.LinearNode:
        weight, bias = rng.normal(size=(rows, columns)), rng.normal(0, 0.3, rows)
        return g.LinearNode(name, (source,), weight, bias)

    return g.Graph(
        (
            g.InputNode("input", (), "uint8", 2, 0.0, 1.0, 1 / 255),
            linear("encoder", "input", width, 2),
            g.LIFNode("first", ("encoder",), decay, threshold),
            linear("mix", "first", width, width),
            g.AddNode("add", ("mix", "encoder")),
            g.LIFNode("second", ("add",), decay, threshold),
            linear("out", "second", width, width),
            g.MeanNode("mean", ("out",)),
            linear("decoder", "mean", 3, width),
        )
    )


def test_a_compiled_network_follows_its_floats() -> None:
    rng = np.random.default_rng(0)
    graph = network(rng.uniform(0, 0.99, 17), rng.uniform(0.2, 2, 17))
    x = rng.integers(0, 256, (5, 80, 2)).astype(np.uint8)
    program = compile_model(graph)
    names = tuple(program.recordings)
    ran = program.run(x, "reference", record=names)
    assert ran.saturations == {}
    found = evaluate(graph, x, ["first", "second"])
    for name, least in (("first", 0.99), ("second", 0.97)):
        assert 0.05 < found[name].mean() < 0.9
        assert (found[name] == ran.tensors[name]).mean() > least
    fast = program.run(x, "fast", record=names)
    assert all(np.array_equal(fast.tensors[name], ran.tensors[name]) for name in names)
    assert np.array_equal(program.run(x, "fast").logits, ran.logits)  # the kernel of floats


def test_what_cannot_be_proved_is_refused() -> None:
    graph = network(np.ones(3), np.ones(3))
    with pytest.raises(LimitError, match="first: states of 24 bits cannot be proved: in channel 0"):
        compile_model(graph)
    narrow = CompileOptions(widths=Widths(state=8))
    with pytest.raises(LimitError, match="decay of 0.999"):
        compile_model(network(np.full(3, 0.999), np.ones(3)), options=narrow)


def test_verification_sees_its_spikes_states_and_margins() -> None:
    rng = np.random.default_rng(0)
    graph = network(rng.uniform(0, 0.99, 6), rng.uniform(0.2, 2, 6))
    x = rng.integers(0, 256, (3, 40, 2)).astype(np.uint8)
    program = compile_model(graph)
    found = verify(program, x, None, graph, engines=("reference", "fast")).to_json()
    assert [layer["name"] for layer in found["layers"]] == ["first", "second"]
    assert found["engines"][0]["mismatches"] == 0
    rows = {row.name: row for row in certificates(program)}
    assert rows["first:state"].proved
    states = program.run(x, record=("first:state",)).tensors["first:state"]
    assert np.abs(states).max() <= rows["first:state"].bound < 1 << 23
    # v' is 0.6, then 0.3 + 0.8 fires, then 0 + 0.9: from 1 they are 0.4, 0.1 and 0.1
    node = g.LIFNode("n", ("x",), np.array([0.5]), np.array([1.0]))
    assert node.margin(np.array([[[0.6], [0.8], [0.9]]])).ravel() == pytest.approx([0.4, 0.1, 0.1])
