"""Networks that no model of ours is: Lava runs operations in any order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from neurossm import lava
from neurossm.graph import AddNode, AffineNode, GELUNode, Graph, LayerNormNode, SigmoidNode
from neurossm.graph.evaluate import evaluate
from neurossm.program import (
    SSM,
    Add,
    Affine,
    Dense,
    LayerNorm,
    Op,
    Product,
    Readout,
    Spike,
    State,
    Table,
    reference,
    unchecked,
)
from neurossm.program.expression import Expression, Step, greater, rshift, saturated, select
from neurossm.program.fields import Symbols, per_channel, scalar

CHANNELS = 3


def out(bits=16, channels=CHANNELS):
    return unchecked(bits, 0, channels)


def affine(name, reads, rng, bits=16):
    gain, offset = rng.integers(-20, 20, (2, CHANNELS))
    return Affine(name, (reads,), out(bits), gain, np.full(CHANNELS, 3), offset)


def matrix(name, reads, rng, columns=CHANNELS):
    return Dense(name, (reads,), out(32), rng.integers(-100, 100, (CHANNELS, columns)))


def ssm(name, reads, rng, bits=16, modes=2):
    def numbers(reach):
        return rng.integers(-reach, reach + 1, (CHANNELS, modes))

    same = np.ones((CHANNELS, modes), int)
    a_re, a_im, c_re, c_im = numbers(10), numbers(10), numbers(9), numbers(9)
    shift, d, d_shift = np.full(CHANNELS, 2), rng.integers(-3, 4, CHANNELS), np.ones(CHANNELS, int)
    return SSM(
        name, (reads,), out(bits), a_re, a_im, 4 * same, 0 * same, c_re, c_im, shift, d, d_shift, 16
    )  # fmt: skip


def program_of(networks, middle, last):
    """Return a program of other operations between its input and a readout of `last`."""
    start = networks.random_program(1, inputs=2, kind="float", channels=CHANNELS)
    weight = np.arange(2 * CHANNELS).reshape(2, CHANNELS)
    readout = Readout("z", (last,), out(40, 2), weight, np.array([1, 2]), 1, 1000)
    return start.with_ops([start.input, *middle, readout])


def compare(program, networks, worker, new_tally):
    data = networks.random_data(program.input, 5, batch=3, steps=9)
    new_tally().compare(program, data, worker)


@dataclass(frozen=True, eq=False)
class Leaky(Op):
    """A leaky integrator that spikes and starts again: `v' = sat(rshift(decay v, 4) + x)`."""

    decay: np.ndarray = per_channel()
    threshold: np.ndarray = per_channel()
    state_bits: int = scalar()
    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "spikes"
    states: ClassVar[tuple[State, ...]] = (State("v", "channel", "state_bits"),)

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Leak, integrate, compare, reset."""
        v = saturated(rshift(f.decay * f.state("v"), 4) + x[0], f.state_bits)
        spike = greater(v, f.threshold)
        return Step(spike, {"v": select(spike, 0, v)})


def leaky(name, reads, threshold):
    return Leaky(name, (reads,), out(2), np.full(CHANNELS, 12), np.full(CHANNELS, threshold), 12)


def everything(rng):
    """Chains, branches, long paths, and tensors that several read."""
    sigmoid = Table("function", ("left",), out(), -64, 5, [0, 10, 60, 90], [1, 2, -1, 3], 1)
    shift = np.full(CHANNELS, 4)
    eps, gain = 1 << 10, np.full(CHANNELS, 300)
    normalised = LayerNorm("normal", ("second",), out(12), gain, shift + 14, shift, eps)
    return [
        matrix("in", "input", rng, 2),
        affine("a", "in", rng, 10),
        affine("b", "a", rng, 10),  # a chain of Affines
        ssm("first", "b", rng),
        Spike("spike", ("first",), out(2), np.zeros(CHANNELS, int)),
        matrix("left", "spike", rng),
        matrix("right", "spike", rng),
        sigmoid,  # of a sum as it is
        Product("product", ("function", "right"), out(12), shift),
        ssm("second", "product", rng, 12),  # without spikes
        normalised,
        ssm("third", "normal", rng, 10),  # without a matrix between
        Add("around", ("third", "a"), out(10)),  # one step around
        matrix("twice", "around", rng),
        affine("narrow", "twice", rng, 9),
        matrix("once", "narrow", rng),
        affine("wide", "once", rng, 12),
        Add("far", ("wide", "b"), out(12)),  # three steps around
        Add("farther", ("far", "product"), out(12)),  # two steps around, from inside a process
        Product("square", ("farther", "farther"), out(12), shift),
    ]


def test_operations_in_any_order(networks, worker, new_tally):
    for seed in range(3):
        program = program_of(networks, everything(np.random.default_rng(seed)), "square")
        compare(program, networks, worker, new_tally)
    plan = lava.plan_program(program)
    delays = {i.delay for s in plan.stages if s.unit for i in s.unit.inlets.values()}
    assert delays == {0, 1, 2, 3}


def test_matrices_behind_each_other_and_before_the_readout(networks, worker, new_tally):
    rng = np.random.default_rng(0)
    middle = [
        Dense("one", ("input",), out(24), rng.integers(-9, 9, (CHANNELS, 2))),
        replace(matrix("two", "one", rng), weight=np.eye(CHANNELS, dtype=int)),
    ]
    # what is read is taken from the bounds, and those of "one" are known to be narrow
    reach = np.full(CHANNELS, 1 << 20)
    middle[0] = replace(middle[0], out=replace(middle[0].out, low=-reach, high=reach))
    program = program_of(networks, middle, "two")
    compare(program, networks, worker, new_tally)


def test_an_operation_that_lava_has_never_heard_of(networks, stepping, tmp_path):
    rng = np.random.default_rng(3)
    middle = [
        matrix("in", "input", rng, 2),
        affine("a", "in", rng, 10),
        leaky("lif", "a", 100),
        matrix("mixed", "lif", rng),
        affine("b", "mixed", rng, 10),
        leaky("last", "b", 10),
    ]
    program = program_of(networks, middle, "last")
    data = networks.random_data(program.input, 5, batch=3, steps=20)
    names = tuple(program.recordings)
    expected = reference.run(program, data, record=names)
    got = stepping.run(program, data, names, tmp_path)
    for name in names:
        assert np.array_equal(got[f"tensors/{name}"], expected.tensors[name]), name
    assert np.array_equal(got["logits"], expected.logits)
    assert 0.05 < expected.tensors["last"].mean() < 0.95
    (dense,) = [s for s in lava.plan_program(program).stages if s.name == "mixed"]
    assert dense.message_bits == 0


def test_float_graphs_in_any_order(networks, worker):
    graph = networks.random_graph(2, blocks=2, channels=5)
    ones = np.ones(5)
    extra = [
        SigmoidNode("extra", ("blocks.0.gate",)),  # a second reader
        GELUNode("alone", ("blocks.1.add",)),
        LayerNormNode("normal", ("alone",), 2 * ones, ones, 1e-3),
        AffineNode("chain", ("normal",), 3 * ones, -ones),
        AddNode("skip", ("chain", "encoder")),  # two steps around
        AddNode("last", ("skip", "extra")),
    ]
    mean = replace(graph["mean"], inputs=("last",))
    kept = [node for node in graph.nodes if node.name not in ("norm", "mean", "decoder")]
    graph = Graph((*kept, *extra, mean, graph["decoder"]))
    data = networks.random_data(graph.input, 6, batch=2, steps=12)
    names = [node.name for node in graph.nodes if node.name not in ("mean", "decoder")]
    expected = evaluate(graph, data, record=names)
    got = lava.run_graph(graph, data, record=names, worker=worker)
    for name, values in expected.items():
        scale = max(1.0, np.abs(values).max())
        np.testing.assert_allclose(got[name], values, rtol=0, atol=1e-11 * scale, err_msg=name)


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_fields_and_states_of_a_program_are_variables_of_its_network(networks, mixer):
    program = networks.random_program(2, blocks=2, mixer=mixer)
    network = program.to_lava(networks.random_data(program.input, 1))
    for op in program.ops:
        for name in ("gain", "a_re", "threshold", "shift"):
            if hasattr(op, name) and op is not program.readout:
                values = network.variable(op.name, name).get()
                assert np.array_equal(values, getattr(op, name)), (op.name, name)
        for state in op.states:
            assert network.variable(op.name, state.name).shape == op.state_shape(state)
    ssm = program["blocks.1.ssm"]
    assert np.array_equal(network.processes["blocks.1.ssm"].a_im.get(), ssm.a_im)
