"""The rectified linear unit, by hand and against plain Python integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurossm import graph as g
from neurossm import program as p
from neurossm.compile import compile_model
from neurossm.graph.evaluate import evaluate
from neurossm.program.work import Work


def make(shift: list[int], bits: int = 8) -> p.Relu:
    return p.Relu("r", ("x",), p.unchecked(bits, 0, len(shift)), np.array(shift))


def test_by_hand() -> None:
    tally = p.Tally()
    # floor((x + 1) / 2) of 5 and 4; 3 * 4; 200 is clipped to 127
    x = np.array([[5, 4, -7, 3, 200]])
    _, y = make([1, 1, 1, -2, 0]).step({}, x, tally=tally)
    assert y.tolist() == [[3, 2, 0, 12, 127]]
    assert dict(tally) == {"r": 1}


@given(st.integers(-(2**40), 2**40), st.integers(-8, 12), st.integers(8, 50))
def test_steps_are_their_equation(x: int, shift: int, bits: int) -> None:
    cut = max(x, 0)
    wanted = cut << -shift if shift < 0 else (2 * cut + (1 << shift)) >> (shift + 1)
    limit = (1 << (bits - 1)) - 1
    _, y = make([shift], bits).step({}, np.array([[x]]), tally=p.Tally())
    assert y.tolist() == [[min(wanted, limit)]]


def test_bounds_and_work() -> None:
    op = make([1, 1, 0])
    bounds = op.bounds(p.Interval(np.array([-9, 4, -9]), np.array([8, 6, -2])))
    assert (bounds.low.tolist(), bounds.high.tolist()) == ([0, 2, 0], [4, 3, 0])
    assert op.work() == Work()  # a comparison that chooses is a wire behind a sign


def test_a_compiled_network_follows_its_floats() -> None:
    rng = np.random.default_rng(0)
    graph = g.Graph(
        (
            g.InputNode("input", (), "uint8", 2, 0.0, 1.0, 1 / 255),
            g.LinearNode("encoder", ("input",), rng.normal(size=(9, 2)), rng.normal(size=9)),
            g.ReLUNode("relu", ("encoder",)),
            g.LinearNode("mix", ("relu",), rng.normal(size=(9, 9)), rng.normal(size=9)),
            g.ReLUNode("again", ("mix",)),
            g.AddNode("add", ("again", "encoder")),
            g.MeanNode("mean", ("add",)),
            g.LinearNode("decoder", ("mean",), rng.normal(size=(3, 9)), rng.normal(size=3)),
        )
    )
    x = rng.integers(0, 256, (4, 30, 2)).astype(np.uint8)
    program = compile_model(graph)
    assert all(op.out.proved for op in program.ops)
    names = tuple(program.recordings)
    ran = program.run(x, "reference", record=names)
    found = evaluate(graph, x, ["relu", "decoder"])
    # 8-bit weights of the encoder, which are sums of 2 inputs below 1, and those of the mixing
    relu = program["relu"].out.to_float(ran.tensors["relu"])
    assert np.abs(relu - found["relu"]).max() < 2 * 3 / 127 / 2
    assert (relu >= 0).all()
    assert relu.max() > 1
    logits = program.readout.out.to_float(ran.logits)
    assert np.abs(logits - found["decoder"]).max() < 0.2
    fast = program.run(x, "fast", record=names)
    assert all(np.array_equal(fast.tensors[name], ran.tensors[name]) for name in names)
    assert np.array_equal(program.run(x, "fast").logits, ran.logits)
